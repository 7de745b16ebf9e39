//! Header fields in their final spelling: cleaned, encoded (RFC 2047) and folded (RFC 5322, 2.2.3).
//!
//! lettre's own encoder leaves a literal `=?utf-8?…?=` and words of any length as they are, so an unlucky title
//! would be decoded by the reader's program or break the 998-octet limit.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use unicode_segmentation::UnicodeSegmentation;

/// Octets after which a line is folded where it can be (RFC 5322, 2.1.1).
const LINE_FOLD: usize = 76;
/// Bytes of text in one encoded word: 52 characters of base64 and 12 of frame, so that it fits beside the longest field
/// name into the 76 characters that RFC 2047 allows a line.
const WORD_BYTES: usize = 39;
/// Characters of an ASCII word that is still written as it is.
const PLAIN_WORD_MAX: usize = 60;
const WORD_START: &str = "=?utf-8?B?";
const WORD_END: &str = "?=";

/// Text for a header: controls and direction overrides are gone, white space is one space, and at most `limit` user-visible
/// characters remain.
///
/// Direction overrides (U+202A-E, U+2066-9) could make a sender's name read as another one; joiners and marks that
/// scripts need stay.
pub(super) fn clean(text: &str, limit: usize) -> String {
    let spaced: String = text
        .chars()
        .filter_map(|c| match c {
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => None,
            '\u{2028}' | '\u{2029}' => Some(' '),
            c if c.is_control() => Some(' '),
            c => Some(c),
        })
        .collect();
    let words: Vec<&str> = spaced.split(' ').filter(|word| !word.is_empty()).collect();
    let joined = words.join(" ");
    match joined.grapheme_indices(true).nth(limit) {
        Some((end, _)) => joined[..end].trim_end().to_owned(),
        None => joined,
    }
}

/// Writes header fields, one after the other.
#[derive(Debug, Default)]
pub(super) struct HeaderWriter {
    bytes: String,
}

impl HeaderWriter {
    /// A field of unstructured text, such as a subject. The text must be [`clean`].
    pub(super) fn text(&mut self, name: &str, text: &str) {
        let plain = text.is_ascii() && !text.contains("=?") && text.split(' ').all(|w| w.len() <= PLAIN_WORD_MAX);
        if plain {
            self.tokens(name, text.split(' ').map(str::to_owned));
        } else {
            self.tokens(name, encoded_words(text));
        }
    }

    /// A field of a display name and something in angle brackets: a mailbox (RFC 5322, 3.4) or List-Id (RFC 2919).
    /// The name must be [`clean`].
    pub(super) fn phrase(&mut self, name: &str, display: Option<&str>, bracketed: &str) {
        let display = display.filter(|text| !text.is_empty());
        let mut tokens = display.map(phrase_words).unwrap_or_default();
        tokens.push(format!("<{bracketed}>"));
        self.tokens(name, tokens);
    }

    /// A field of ready ASCII tokens, folded only between them.
    pub(super) fn tokens(&mut self, name: &str, tokens: impl IntoIterator<Item = String>) {
        self.bytes.push_str(name);
        self.bytes.push(':');
        let mut column = name.len() + 1;
        for (index, token) in tokens.into_iter().enumerate() {
            // The first token stays on the field's own line: a line of white space only is obsolete syntax.
            if index > 0 && column + 1 + token.len() > LINE_FOLD {
                self.bytes.push_str("\r\n");
                column = 0;
            }
            self.bytes.push(' ');
            self.bytes.push_str(&token);
            column += 1 + token.len();
        }
        self.bytes.push_str("\r\n");
    }

    /// All fields.
    pub(super) fn finish(self) -> String {
        self.bytes
    }
}

/// A display name as a quoted string where ASCII allows it, else as encoded words, which may not stand in quotes.
fn phrase_words(text: &str) -> Vec<String> {
    let quotable = text.is_ascii() && !text.contains("=?") && text.len() <= PLAIN_WORD_MAX;
    if !quotable {
        return encoded_words(text);
    }
    if text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b' ' || b == b'-')
    {
        return text.split(' ').map(str::to_owned).collect();
    }
    vec![format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))]
}

/// The text as RFC 2047 encoded words, divided between user-visible characters where they are short enough.
fn encoded_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut piece = String::new();
    let mut push = |piece: &mut String| {
        if !piece.is_empty() {
            words.push(format!("{WORD_START}{}{WORD_END}", BASE64.encode(&*piece)));
            piece.clear();
        }
    };
    for grapheme in text.graphemes(true) {
        if piece.len() + grapheme.len() > WORD_BYTES {
            push(&mut piece);
        }
        // A character may carry hundreds of combining marks: it is then divided between code points.
        for c in grapheme.chars() {
            if piece.len() + c.len_utf8() > WORD_BYTES {
                push(&mut piece);
            }
            piece.push(c);
        }
    }
    push(&mut piece);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cleaned_for_headers() {
        let check = |text: &str, limit: usize, expected: &str| assert_eq!(clean(text, limit), expected, "{text:?}");
        check("Sum rules\r\nBcc: x@example.com", 99, "Sum rules Bcc: x@example.com");
        check("  a\t\tb\u{0}\u{7f}\u{85}c\u{2028}d  ", 99, "a b c d");
        check("\u{202e}evil\u{2066}\u{2069}\u{feff}", 99, "evil");
        check("ab\u{a0}c", 99, "ab\u{a0}c");
        check("a👩‍🔬b", 2, "a👩‍🔬");
        check("e\u{301}e\u{301}", 1, "e\u{301}");
        check("ab cd", 3, "ab");
        check("", 3, "");
    }

    /// CASES 80, 81.
    #[test]
    fn encoded_words_are_short_and_never_divide_a_user_visible_character() {
        let text = "👩‍🔬é量".repeat(40);
        let words = encoded_words(&text);
        assert!(words.iter().all(|word| word.len() <= 75), "{words:?}");
        let pieces: Vec<String> = words
            .iter()
            .map(|word| word.strip_prefix(WORD_START).unwrap().strip_suffix(WORD_END).unwrap())
            .map(|word| String::from_utf8(BASE64.decode(word).unwrap()).unwrap())
            .collect();
        assert_eq!(pieces.concat(), text);
        let whole: Vec<&str> = text.graphemes(true).collect();
        let parts: Vec<&str> = pieces.iter().flat_map(|piece| piece.graphemes(true)).collect();
        assert_eq!(whole, parts);
        let zalgo = format!("e{}", "\u{301}".repeat(500));
        assert!(encoded_words(&zalgo).iter().all(|word| word.len() <= 75));
    }

    #[test]
    fn fields_are_folded_between_tokens() {
        let mut writer = HeaderWriter::default();
        writer.text("Subject", "word ".repeat(40).trim_end());
        writer.phrase("From", Some("Müller, Anna"), "anna@example.net");
        writer.phrase("To", Some("Anna \"Lab\\3\", x"), "anna@example.net");
        writer.phrase("Reply-To", None, "ops@example.org");
        writer.phrase("List-Id", None, "digests.example.org");
        let text = writer.finish();
        assert!(text.split("\r\n").all(|line| line.len() <= 76), "{text}");
        assert!(
            text.contains("From: =?utf-8?B?TcO8bGxlciwgQW5uYQ==?= <anna@example.net>\r\n"),
            "{text}"
        );
        assert!(
            text.contains(r#"To: "Anna \"Lab\\3\", x" <anna@example.net>"#),
            "{text}"
        );
        assert!(
            text.ends_with("Reply-To: <ops@example.org>\r\nList-Id: <digests.example.org>\r\n"),
            "{text}"
        );
    }
}
