//! The numbers protocol, from its page alone: lines by hand, each of them checked.

use std::net::SocketAddr;

use super::Line;

/// A line without its end (the page).
const LINE_BYTES_MAX: usize = 4096;

#[derive(Debug)]
pub struct Tags {
    pub line: Line,
    ends: u32,
    /// The numbers of people that only the test knows of.
    probes: Vec<String>,
}

impl Tags {
    pub fn connect(address: SocketAddr) -> Result<Tags, String> {
        Ok(Tags { line: Line::connect(address)?, ends: 0, probes: Vec::new() })
    }

    /// Ends lines in both ways that the page allows.
    pub fn send(&mut self, text: &str) -> Result<(), String> {
        self.ends += 1;
        let end = if self.ends.is_multiple_of(2) { "\r\n" } else { "\n" };
        self.line.send(format!("{text}{end}").as_bytes())
    }

    /// The next line; `None` at the end of the stream. What is told of accounts called probe is
    /// passed over.
    pub fn receive(&mut self) -> Result<Option<String>, String> {
        loop {
            let Some(bytes) = self.line.take_until(b"\n")? else { return Ok(None) };
            let line = bytes.strip_suffix(b"\r\n").ok_or("a line that does not end in \\r\\n")?;
            let text = String::from_utf8(line.to_vec()).map_err(|e| format!("no text: {e}"))?;
            if text.len() > LINE_BYTES_MAX {
                return Err(format!("a line of {} bytes", text.len()));
            }
            if text.chars().any(|c| c.is_control() && c != '\t') {
                return Err(format!("a raw control character: {text:?}"));
            }
            let words: Vec<&str> = text.split(' ').collect();
            let is_probe = match words[..] {
                ["ADD", _, "0", number, name] if name.starts_with("probe") => {
                    self.probes.push(number.to_owned());
                    true
                }
                ["BYE", "0", number] => self.probes.iter().any(|probe| probe == number),
                _ => false,
            };
            if !is_probe {
                return Ok(Some(text));
            }
        }
    }
}
