//! Formatted text: which spans may lie over which text.
//!
//! Our reading of mSIM 2, layer 4: spans may lie inside each other and never cross; two of one
//! kind do not overlap. So a client can nest them as it draws.

use crate::domain::id::Address;
use crate::domain::words::{Refusal, Span, SpanKind};
use crate::limits::{SPAN_VALUE_BYTES_MAX, SPANS_MAX};

/// Checks spans against their text and puts them in order: by start, the longer one first.
pub(in crate::domain) fn checked(
    text: &str,
    mut spans: Box<[Span]>,
) -> Result<Box<[Span]>, Refusal> {
    if spans.len() > SPANS_MAX {
        return Err(Refusal::TooManySpans);
    }
    for span in &spans {
        let (start, end) = (span.start as usize, span.end as usize);
        let on_characters = text.is_char_boundary(start) && text.is_char_boundary(end);
        // Past the end of the text is no boundary.
        if start >= end || !on_characters {
            return Err(Refusal::BadSpanRange);
        }
        if !has_its_value(span) {
            return Err(Refusal::BadSpan);
        }
    }
    spans.sort_by(|a, b| (a.start, b.end, a.kind as u8).cmp(&(b.start, a.end, b.kind as u8)));
    // Those that the next one lies in, from the outermost.
    let mut around: Vec<&Span> = Vec::new();
    for span in &spans {
        around.retain(|outer| span.start < outer.end);
        if around.iter().any(|outer| outer.end < span.end || outer.kind == span.kind) {
            return Err(Refusal::BadSpanRange);
        }
        around.push(span);
    }
    Ok(spans)
}

fn has_its_value(span: &Span) -> bool {
    let value = span.value.as_deref();
    if value.is_some_and(|value| value.is_empty() || value.len() > SPAN_VALUE_BYTES_MAX) {
        return false;
    }
    match (span.kind, value) {
        (SpanKind::Heading, Some(level)) => matches!(level, "1" | "2" | "3" | "4" | "5" | "6"),
        (SpanKind::Color | SpanKind::Highlight, Some(color)) => is_color(color),
        (SpanKind::Font, Some(name)) => !name.chars().any(char::is_control),
        (SpanKind::Link, Some(link)) => is_link(link),
        (SpanKind::CodeBlock, Some(language)) => !language.chars().any(char::is_control),
        (SpanKind::Heading | SpanKind::Highlight | SpanKind::CodeBlock, None) => true,
        (SpanKind::Color | SpanKind::Font | SpanKind::Link, None) => false,
        (
            SpanKind::Bold
            | SpanKind::Italic
            | SpanKind::Underline
            | SpanKind::Strike
            | SpanKind::Code
            | SpanKind::Spoiler
            | SpanKind::Quote,
            value,
        ) => value.is_none(),
    }
}

/// `#rrggbb`.
fn is_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or_default();
    digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A page, a mail address, or something of a server like this one: `@im.test` the server itself,
/// `bob@im.test` somebody or a chat, `bob@im.test#17` a message in it. Nothing that a client could
/// be made to run.
fn is_link(text: &str) -> bool {
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return false;
    }
    for scheme in ["http://", "https://", "mailto:"] {
        if let Some(start) = text.get(..scheme.len())
            && start.eq_ignore_ascii_case(scheme)
        {
            return text.len() > scheme.len();
        }
    }
    if let Some(server) = text.strip_prefix('@') {
        return Address::parse(&format!("x@{server}"), "").is_ok_and(|a| a.chat.is_none());
    }
    let (address, message) = match text.split_once('#') {
        Some((address, message)) => (address, Some(message)),
        None => (text, None),
    };
    let is_id = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
    address.contains('@') && Address::parse(address, "").is_ok() && message.is_none_or(is_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: u32, end: u32, kind: SpanKind, value: &str) -> Span {
        let value = Some(value).filter(|value| !value.is_empty()).map(Box::from);
        Span { start, end, kind, value }
    }

    fn check(text: &str, spans: &[Span]) -> Result<Vec<(u32, u32)>, Refusal> {
        let spans = checked(text, spans.into())?;
        Ok(spans.iter().map(|span| (span.start, span.end)).collect())
    }

    #[test]
    fn spans_lie_on_characters_within_the_text() {
        let bold = |start, end| [span(start, end, SpanKind::Bold, "")];
        assert_eq!(check("жук", &bold(0, 6)), Ok(vec![(0, 6)]));
        for (start, end) in [(0, 0), (2, 1), (1, 2), (0, 3), (0, 7), (6, 7), (7, 9)] {
            assert_eq!(
                check("жук", &bold(start, end)),
                Err(Refusal::BadSpanRange),
                "{start} {end}"
            );
        }
        assert_eq!(check("", &bold(0, 1)), Err(Refusal::BadSpanRange));
    }

    #[test]
    fn spans_nest_and_do_not_cross() {
        let (bold, italic) = (SpanKind::Bold, SpanKind::Italic);
        let two = |a: (u32, u32), b: (u32, u32), kinds: (SpanKind, SpanKind)| {
            check("0123456789", &[span(a.0, a.1, kinds.0, ""), span(b.0, b.1, kinds.1, "")])
        };
        let both = (bold, italic);
        assert_eq!(two((2, 4), (0, 9), both), Ok(vec![(0, 9), (2, 4)]));
        assert_eq!(two((0, 4), (0, 9), both), Ok(vec![(0, 9), (0, 4)]));
        assert_eq!(two((0, 4), (0, 4), both), Ok(vec![(0, 4), (0, 4)]));
        assert_eq!(two((0, 4), (4, 9), (bold, bold)), Ok(vec![(0, 4), (4, 9)]));
        assert_eq!(two((0, 4), (3, 9), both), Err(Refusal::BadSpanRange));
        assert_eq!(two((0, 4), (3, 4), (bold, bold)), Err(Refusal::BadSpanRange));
        assert_eq!(two((0, 4), (0, 4), (bold, bold)), Err(Refusal::BadSpanRange));
    }

    #[test]
    fn each_kind_has_its_value() {
        let good = [
            (SpanKind::Heading, ""),
            (SpanKind::Heading, "6"),
            (SpanKind::Color, "#a0B1c2"),
            (SpanKind::Highlight, ""),
            (SpanKind::Highlight, "#000000"),
            (SpanKind::Font, "Noto Serif"),
            (SpanKind::Link, "https://im.test/a?b#c"),
            (SpanKind::Link, "HTTP://x"),
            (SpanKind::Link, "mailto:bob@im.test"),
            (SpanKind::Link, "bob@im.test"),
            (SpanKind::Link, "bob@im.test#17"),
            (SpanKind::Link, "bob@im.test:99/news"),
            (SpanKind::Link, "@im.test"),
            (SpanKind::CodeBlock, "rust"),
            (SpanKind::Quote, ""),
        ];
        for (kind, value) in good {
            assert_eq!(check("text", &[span(0, 4, kind, value)]), Ok(vec![(0, 4)]), "{value}");
        }
        let bad = [
            (SpanKind::Heading, "7"),
            (SpanKind::Color, ""),
            (SpanKind::Color, "red"),
            (SpanKind::Color, "#12345"),
            (SpanKind::Font, ""),
            (SpanKind::Link, ""),
            (SpanKind::Link, "https://"),
            (SpanKind::Link, "javascript:alert(1)"),
            (SpanKind::Link, "data:text/html,x"),
            (SpanKind::Link, "https://a b"),
            (SpanKind::Link, "bob"),
            (SpanKind::Link, "bob@im.test#"),
            (SpanKind::Bold, "x"),
            (SpanKind::Font, &"x".repeat(SPAN_VALUE_BYTES_MAX + 1)),
        ];
        for (kind, value) in bad {
            assert_eq!(check("text", &[span(0, 4, kind, value)]), Err(Refusal::BadSpan), "{value}");
        }
        let many = vec![span(0, 1, SpanKind::Bold, ""); SPANS_MAX + 1];
        assert_eq!(check("text", &many), Err(Refusal::TooManySpans));
    }
}
