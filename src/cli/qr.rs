//! An address as a QR code on the terminal, two rows of modules in one row of characters.

use std::io::IsTerminal as _;

use qrcodegen::{QrCode, QrCodeEcc};

/// Light modules around the code (ISO/IEC 18004 asks for four).
const QUIET: i32 = 4;
/// White on black, whatever colours the terminal has: not every reader knows an inverted code.
const COLOURS: (&str, &str) = ("\x1b[97;40m", "\x1b[0m");

/// The code of a text where somebody would see it, or asked for it.
pub(super) fn shown(text: &str, asked: bool) -> Option<String> {
    let terminal = std::io::stdout().is_terminal();
    if asked || terminal { drawn(text, terminal) } else { None }
}

/// `None` for a text that is longer than a code can hold.
fn drawn(text: &str, coloured: bool) -> Option<String> {
    // The lowest correction keeps it small: a screen has no scratches.
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let (begin, end) = if coloured { COLOURS } else { ("", "") };
    // Light modules are what is drawn: outside of the code everything is light.
    let light = |x, y| !code.get_module(x, y);
    let edge = code.size() + QUIET;
    let mut lines = Vec::new();
    for y in (-QUIET..edge).step_by(2) {
        let mut line = String::from(begin);
        for x in -QUIET..edge {
            line.push(match (light(x, y), y + 1 < edge && light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        line.push_str(end);
        lines.push(line);
    }
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "msim-http://im.test:3218/?end-cert=q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=\
                           &invite=k7wq-3mxp-0h2d-v9ta";

    /// The modules of a drawing, true for dark, without its quiet zone.
    fn modules(drawing: &str) -> Vec<Vec<bool>> {
        let mut rows = Vec::new();
        for line in drawing.lines() {
            let halves = |upper: bool| -> Vec<bool> {
                let dark = |c| match c {
                    '█' => false,
                    '▀' => !upper,
                    '▄' => upper,
                    ' ' => true,
                    other => panic!("{other:?} is no module"),
                };
                line.chars().map(dark).collect()
            };
            rows.push(halves(true));
            rows.push(halves(false));
        }
        let quiet = QUIET as usize;
        let size = rows[0].len() - 2 * quiet;
        assert!(rows[..quiet].iter().flatten().all(|dark| !dark), "the quiet zone is light");
        rows.into_iter().skip(quiet).take(size).map(|row| row[quiet..quiet + size].into()).collect()
    }

    #[test]
    fn a_code_has_the_three_eyes_that_readers_look_for() {
        let drawing = drawn(ADDRESS, false).unwrap();
        let modules = modules(&drawing);
        let far = modules.len() - 7;
        for (top, left) in [(0, 0), (0, far), (far, 0)] {
            for y in 0..7_usize {
                for x in 0..7_usize {
                    // A dark frame, a light one, and a dark square of three.
                    let ring = x.abs_diff(3).max(y.abs_diff(3));
                    assert_eq!(modules[top + y][left + x], ring != 2, "{top} {left} {y} {x}");
                }
            }
        }
        // It fits the smallest terminal there is.
        assert!(drawing.lines().count() <= 24 + 4 && modules.len() + 8 <= 80, "{drawing}");
    }

    #[test]
    fn what_is_too_long_has_no_code() {
        assert_eq!(drawn(&"x".repeat(5000), false), None);
        assert!(drawn(ADDRESS, true).is_some_and(|code| code.starts_with("\x1b[97;40m█")));
    }
}
