//! Plain text in lines of [`WIDTH`] columns.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Columns of the text part (RFC 3676 recommends at most 78; replies add marks in front).
pub(super) const WIDTH: usize = 72;

/// Wraps text, every line behind `indent` blanks. Line feeds are kept as breaks; addresses in angle brackets and
/// whatever is joined by no-break spaces are never broken; a longer word than a line is broken between visible
/// characters.
pub(super) fn wrap(text: &str, indent: usize) -> String {
    let margin = " ".repeat(indent);
    let width = WIDTH.saturating_sub(indent).max(16);
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            let n_columns = word.width();
            if used > 0 && used + 1 + n_columns > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            if n_columns <= width || word.contains("<http") || word.contains("<mailto") {
                line.push_str(word);
                used += n_columns;
            } else {
                for grapheme in word.graphemes(true) {
                    if used + grapheme.width() > width && used > 0 {
                        lines.push(std::mem::take(&mut line));
                        used = 0;
                    }
                    line.push_str(grapheme);
                    used += grapheme.width();
                }
            }
        }
        if !line.is_empty() {
            lines.push(line);
        }
    }
    lines
        .iter()
        .map(|line| format!("{margin}{}", line.replace('\u{a0}', " ")))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_within_the_width_and_addresses_stay_whole() {
        let text = format!("{} <https://arxiv.org/abs/{}> end", "word ".repeat(40), "9".repeat(90));
        let wrapped = wrap(&text, 4);
        assert!(
            wrapped
                .lines()
                .all(|line| line.starts_with("    ") && (line.width() <= WIDTH || line.contains("<https://")))
        );
        assert!(wrapped.contains(&format!("<https://arxiv.org/abs/{}>", "9".repeat(90))));
        assert_eq!(wrap("a  b\n\nc", 2), "  a b\n  c");
        assert_eq!(wrap("", 2), "");
    }

    #[test]
    fn wide_characters_count_twice_and_long_words_break() {
        for text in ["漢字".repeat(80), "👩\u{200d}🔬".repeat(100), "x".repeat(3_000)] {
            let wrapped = wrap(&text, 0);
            assert!(wrapped.lines().all(|line| line.width() <= WIDTH), "{wrapped}");
            assert_eq!(wrapped.replace('\n', ""), text);
        }
    }

    #[test]
    fn joined_words_move_together() {
        let text = format!("{} and\u{a0}44\u{a0}more", "x".repeat(66));
        assert_eq!(wrap(&text, 0), format!("{}\nand 44 more", "x".repeat(66)));
    }
}
