//! The body of one part of a mail: lines of its own between lines that many mails share.
//!
//! A mail is mostly cards that others get too. Their bytes are therefore cleaned, counted and encoded once, as a
//! [`Passage`], and a mail only names them. That works because quoted-printable (RFC 2045, 6.7) knows no state across
//! the end of a line: whole lines are encoded in the same way wherever they stand.

use std::{borrow::Cow, fmt, sync::Arc};

use memchr::memchr_iter;

/// Whole lines that many mails share.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passage {
    /// Ends with a line feed.
    text: String,
    quoted_printable: String,
    n_escaped: usize,
}

impl Passage {
    /// `lines` without the last one's end.
    pub(super) fn new(lines: &str) -> Self {
        let text = format!("{}\n", clean(lines));
        Self {
            quoted_printable: quoted_printable(&text),
            n_escaped: n_escaped(&text),
            text,
        }
    }

    pub(super) fn lines(&self) -> &str {
        self.text.trim_end_matches('\n')
    }
}

/// The text of one part: Unicode, lines ended by line feeds, no control characters but tabs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Own(String),
    /// Stands at the beginning of a line.
    Shared(Arc<Passage>),
}

impl Piece {
    fn text(&self) -> &str {
        match self {
            Self::Own(text) => text,
            Self::Shared(passage) => &passage.text,
        }
    }

    fn quoted_printable(&self) -> Cow<'_, str> {
        match self {
            Self::Own(text) => Cow::Owned(quoted_printable(text)),
            Self::Shared(passage) => Cow::Borrowed(&passage.quoted_printable),
        }
    }
}

impl Body {
    /// Adds text after what is there.
    pub(super) fn push(&mut self, text: &str) {
        let text = clean(text);
        match self.0.last_mut() {
            Some(Piece::Own(before)) => before.push_str(&text),
            _ if text.is_empty() => {}
            _ => self.0.push(Piece::Own(text.into_owned())),
        }
    }

    /// Adds a passage after what is there; in the middle of a line it becomes text like any other.
    pub(super) fn share(&mut self, passage: &Arc<Passage>) {
        if self.0.last().is_none_or(|piece| piece.text().ends_with('\n')) {
            self.0.push(Piece::Shared(Arc::clone(passage)));
        } else {
            self.push(&passage.text);
        }
    }

    /// Its length in bytes, as text.
    pub fn len(&self) -> usize {
        self.0.iter().map(|piece| piece.text().len()).sum()
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes quoted-printable writes as three.
    pub fn n_escaped(&self) -> usize {
        let in_piece = |piece: &Piece| match piece {
            Piece::Own(text) => n_escaped(text),
            Piece::Shared(passage) => passage.n_escaped,
        };
        self.0.iter().map(in_piece).sum()
    }

    /// Appends it in quoted-printable, with CRLF.
    pub fn write_quoted_printable(&self, out: &mut Vec<u8>) {
        let pieces: Vec<Cow<'_, str>> = self.0.iter().map(Piece::quoted_printable).collect();
        out.reserve(pieces.iter().map(|piece| piece.len()).sum());
        for piece in pieces {
            out.extend_from_slice(piece.as_bytes());
        }
    }

    /// Its length in bytes in quoted-printable, with CRLF.
    pub fn quoted_printable_len(&self) -> usize {
        self.0.iter().map(|piece| piece.quoted_printable().len()).sum()
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        let mut body = Self::default();
        body.push(text);
        body
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| f.write_str(piece.text()))
    }
}

/// One kind of line end and no control characters but line end and tab: no program shows others, and some make
/// Gmail cut the mail.
fn clean(text: &str) -> Cow<'_, str> {
    let is_clean = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    // Most text is seen to be clean from its bytes: the controls beyond ASCII are C2 and a byte below A0.
    let bytes = text.as_bytes();
    let has_control = bytes.iter().fold(false, |found, byte| {
        found | (*byte < b' ' && !matches!(byte, b'\n' | b'\t')) | (*byte == 0x7f)
    }) || memchr_iter(0xc2, bytes).any(|at| bytes.get(at + 1).is_some_and(|next| *next < 0xa0));
    if !has_control {
        return Cow::Borrowed(text);
    }
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    Cow::Owned(text.chars().filter(|c| is_clean(*c)).collect())
}

fn quoted_printable(text: &str) -> String {
    quoted_printable::encode_to_str(text.replace('\n', "\r\n"))
}

fn n_escaped(text: &str) -> usize {
    text.bytes().filter(|byte| !byte.is_ascii() || *byte == b'=').count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_go_and_line_ends_are_of_one_kind() {
        let check = |text: &str, expected: &str| assert_eq!(Body::from(text).to_string(), expected);
        check("\u{7f}a\u{a0}b\u{9f}", "a\u{a0}b");
        check("a\r\nb\rc\n", "a\nb\nc\n");
        check("a\u{0}b\u{85}c\td", "abc\td");
        check("", "");
    }

    #[test]
    fn a_passage_within_a_line_is_text() {
        let passage = Arc::new(Passage::new("shared = lines\nof two"));
        let mut body = Body::from("own");
        body.share(&passage);
        body.push("end");
        assert_eq!(body.to_string(), "ownshared = lines\nof two\nend");
        assert_eq!(body.0.len(), 1);
        body.push("\n");
        body.share(&passage);
        assert_eq!(body.0.len(), 2);
    }

    proptest! {
        /// Lines that are long, end in blanks, hold `=`, dots and letters of two to four bytes.
        #[test]
        fn what_is_encoded_in_pieces_is_what_is_encoded_whole(
            parts in proptest::collection::vec(("([a-z=. é漢😀\t\r]{0,160}\n?){0,4}", any::<bool>()), 0..6)
        ) {
            let mut body = Body::default();
            for (text, is_shared) in &parts {
                if *is_shared {
                    body.share(&Arc::new(Passage::new(text)));
                } else {
                    body.push(text);
                }
            }
            let whole = body.to_string();
            let mut pieces = Vec::new();
            body.write_quoted_printable(&mut pieces);
            let pieces = String::from_utf8(pieces).unwrap();
            prop_assert_eq!(pieces.len(), body.quoted_printable_len());
            prop_assert_eq!(&pieces, &quoted_printable(&whole));
            prop_assert!(pieces.lines().all(|line| line.len() <= 76));
            prop_assert_eq!(body.len(), whole.len());
            prop_assert_eq!(body.n_escaped(), n_escaped(&whole));
            let decoded = quoted_printable::decode(&pieces, quoted_printable::ParseMode::Strict).unwrap();
            prop_assert_eq!(String::from_utf8(decoded).unwrap().replace("\r\n", "\n"), whole);
        }
    }
}
