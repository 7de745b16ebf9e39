//! Text from anywhere made fit to be shown: no control characters, bounded length, escaped for HTML.

use unicode_segmentation::UnicodeSegmentation;

/// Whether a character must not reach a mail: controls (line feed too), characters that reorder the text around them,
/// line and paragraph separators, the byte order mark, non-characters and U+FFFD's neighbours for annotations.
pub(super) fn is_banned(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fdd0}'..='\u{fdef}')
        || (u32::from(c) & 0xfffe) == 0xfffe
}

/// One line of text: banned characters become blanks, blanks are folded, ends trimmed.
pub fn line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if is_banned(c) { ' ' } else { c }).collect();
    let mut out = String::with_capacity(spaced.len());
    for word in spaced.split([' ', '\u{a0}']).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// The length in bytes of the longest beginning of at most `chars_max` characters that cuts no visible character in
/// half. A visible character that is longer than that by itself (hundreds of accents on one letter) is cut after all.
pub(super) fn fitting(text: &str, chars_max: usize) -> usize {
    if text.len() <= chars_max {
        return text.len();
    }
    let mut n_chars = 0;
    for (start, grapheme) in text.grapheme_indices(true) {
        n_chars += grapheme.chars().count();
        if n_chars > chars_max {
            return if start > 0 {
                start
            } else {
                text.char_indices().nth(chars_max).map_or(text.len(), |(end, _)| end)
            };
        }
    }
    text.len()
}

/// A cleaned line of at most `chars_max` characters, the last of them `…` where something was cut.
///
/// Only the beginning of the text is looked at, so that the cost does not grow with what is thrown away.
pub(super) fn clip(text: &str, chars_max: usize) -> String {
    let head = head(text, chars_max * 8 + 64);
    let mut clean = line(head);
    let whole = fitting(&clean, chars_max);
    if whole < clean.len() || head.len() < text.len() {
        let end = fitting(&clean, chars_max.saturating_sub(1));
        clean.truncate(end);
        clean.truncate(clean.trim_end_matches([' ', ',', '.', ';', ':']).len());
        clean.push('…');
    }
    clean
}

/// As [`clip`], but what is cut is cut between two words if that keeps two thirds.
pub(super) fn clip_at_word(text: &str, chars_max: usize) -> String {
    let clipped = clip(text, chars_max);
    let whole = line(head(text, chars_max * 8 + 64));
    let Some(kept) = clipped.strip_suffix('…').filter(|_| clipped != whole) else {
        return clipped;
    };
    let ends_a_word = whole
        .get(kept.len()..)
        .is_some_and(|rest| rest.starts_with([' ', ',', '.', ';', ':']));
    match kept.rfind(' ') {
        Some(blank) if !ends_a_word && blank * 3 >= kept.len() * 2 => {
            format!("{}…", kept[..blank].trim_end_matches([' ', ',', '.', ';', ':']))
        }
        _ => clipped,
    }
}

/// The beginning of a text: at most `bytes_max` bytes.
pub(super) fn head(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Appends text as HTML content or as an attribute's value in quotes of either kind.
pub(super) fn escape_into(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
}

/// The text between isolating characters if it holds letters that are written from right to left, so that what
/// follows it in the same line keeps its direction.
pub(super) fn isolate(text: String) -> String {
    let is_rtl = |c: char| {
        matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'
            | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
    };
    if text.chars().any(is_rtl) {
        format!("\u{2068}{text}\u{2069}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_controls_and_single_blanks() {
        let check = |text: &str, expected: &str| assert_eq!(line(text), expected, "{text:?}");
        check(
            "Sum rules\r\nBcc: x@example.com\u{0}\u{85}\u{9b}31m",
            "Sum rules Bcc: x@example.com 31m",
        );
        check("\u{202e}evil\u{2066} a  b\u{feff} ", "evil a b");
        check("👩\u{200d}🔬 é", "👩\u{200d}🔬 é");
    }

    #[test]
    fn clipping_never_cuts_a_visible_character() {
        let check = |text: &str, max: usize, expected: &str| assert_eq!(clip(text, max), expected, "{text:?}");
        check("short", 5, "short");
        check("shorter", 5, "shor…");
        check("ab👩\u{200d}🔬👩\u{200d}🔬", 6, "ab👩\u{200d}🔬…");
        check("ab👩\u{200d}🔬c", 4, "ab…");
        check("ae\u{301}e\u{301}", 4, "ae\u{301}…");
        check(&format!("a{}", "\u{301}".repeat(500)), 3, "a\u{301}…");
        check("", 3, "");
    }

    #[test]
    fn a_title_is_cut_between_words_where_it_has_any() {
        let check = |text: &str, max: usize, expected: &str| assert_eq!(clip_at_word(text, max), expected, "{text:?}");
        check("one two three", 13, "one two three");
        check("one two three four", 17, "one two three…");
        // Too much would be lost.
        check("one two three", 12, "one two thr…");
        check("one two three four", 14, "one two three…");
        check("one two: three", 10, "one two…");
        check("one two three…", 14, "one two three…");
        check("a wordwithoutablank", 10, "a wordwit…");
        check("大規模言語モデル", 5, "大規模言…");
    }

    #[test]
    fn text_that_runs_from_right_to_left_is_isolated() {
        assert_eq!(isolate("مراجعة".to_owned()), "\u{2068}مراجعة\u{2069}");
        assert_eq!(isolate("review".to_owned()), "review");
    }
}
