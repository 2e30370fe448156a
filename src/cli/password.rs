//! A new password: twice from the terminal, or one line of standard input. Never from the command
//! line, which every user of the machine can read.

use std::io::{BufRead as _, IsTerminal as _};

use super::Failure;
use crate::limits::PASSWORD_BYTES_MAX;

pub(super) fn new_one(login: &str) -> Result<String, Failure> {
    let password = if std::io::stdin().is_terminal() {
        let first = prompt(&format!("New password for {login}: "))?;
        if prompt("The same again: ")? != first {
            return Err(Failure::Failed("the two passwords differ; nothing was changed".into()));
        }
        first
    } else {
        line(std::io::stdin().lock())?
    };
    if password.is_empty() || PASSWORD_BYTES_MAX < password.len() {
        let problem = format!("a password has 1 to {PASSWORD_BYTES_MAX} bytes");
        return Err(Failure::Failed(problem));
    }
    Ok(password)
}

fn prompt(text: &str) -> Result<String, Failure> {
    rpassword::prompt_password(text)
        .map_err(|e| Failure::Failed(format!("the password could not be read: {e}")))
}

/// The first line without its end.
fn line(input: impl std::io::BufRead) -> Result<String, Failure> {
    let mut line = Vec::new();
    input
        .take(PASSWORD_BYTES_MAX as u64 + 3)
        .read_until(b'\n', &mut line)
        .map_err(|e| Failure::Failed(format!("the password could not be read: {e}")))?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8(line.to_vec())
        .map_err(|_| Failure::Failed("the password is not UTF-8".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_of_standard_input() {
        for input in ["secret", "secret\n", "secret\r\n", "secret\nmore\n"] {
            assert_eq!(line(input.as_bytes()).unwrap(), "secret", "{input:?}");
        }
        assert_eq!(line(" spaces stay \n".as_bytes()).unwrap(), " spaces stay ");
        assert!(line(&b"\xff\n"[..]).is_err());
        let endless = std::io::BufReader::new(std::io::repeat(b'x'));
        assert_eq!(line(endless).unwrap().len(), PASSWORD_BYTES_MAX + 3);
    }
}
