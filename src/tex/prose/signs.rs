//! Ties, dashes and quotes.

use super::Reader;

/// The closing quote of a `word' is looked for within this many bytes.
const QUOTED_BYTES_MAX: usize = 100;

impl Reader<'_, '_, '_, '_> {
    /// `~` between two words is a blank; elsewhere it means "about", as in `SNR~10`.
    pub(super) fn tie(&mut self) {
        let next = self.scan.character(self.at + 1, self.end);
        let before = self.scan.slice(self.plain_from..self.at);
        let ties = match (self.previous(), next) {
            (None | Some(b'/'), _) | (_, None) => false,
            (Some(previous), _) if previous.is_ascii_whitespace() => false,
            (Some(previous), Some(next)) if next.is_ascii_digit() => {
                previous == b'.' && !before.ends_with("..") || ends_with_capitalised_word(before)
            }
            (Some(previous), Some(next)) => {
                let after_word = before.is_empty()
                    || previous.is_ascii_alphanumeric()
                    || b".,;:)]}$%'".contains(&previous)
                    || !previous.is_ascii();
                after_word && (next.is_alphabetic() || matches!(next, '$' | '\\' | '(' | '[' | '`'))
            }
        };
        if ties {
            self.convert(" ", self.style, self.at + 1);
        } else {
            self.at += 1;
        }
    }

    /// `--` and `---` are dashes, unless they are part of an arrow, a rule or a command's option.
    pub(super) fn dashes(&mut self) {
        let rest = self.scan.slice(self.at..self.end);
        let count = rest.bytes().take_while(|byte| *byte == b'-').count();
        let to = self.at + count;
        let next = self.scan.character(to, self.end);
        let previous = self.previous();
        let free_before = previous.is_none_or(|byte| byte.is_ascii_whitespace() || byte == b'`' || byte == b'(');
        let option = free_before && next.is_some_and(char::is_alphanumeric);
        let arrow = matches!(previous, Some(b'<' | b'>')) || matches!(next, Some('>' | '<'));
        match count {
            2 if !option && !arrow => self.convert("–", self.style, to),
            3 if !arrow => self.convert("—", self.style, to),
            _ => self.at = to,
        }
    }

    pub(super) fn opening_quote(&mut self) {
        let rest = self.scan.slice(self.at..self.end);
        let backticks = rest.bytes().take_while(|byte| *byte == b'`').count();
        if backticks == 2 && rest.len() > 2 {
            self.open_quotes += 1;
            return self.convert("“", self.style, self.at + 2);
        }
        let free_before = self.previous().is_none_or(|byte| !byte.is_ascii_alphanumeric());
        if backticks == 1
            && free_before
            && let Some(closing) = closing_single_quote(rest)
        {
            self.single_quote_at = Some(self.at + closing);
            return self.convert("‘", self.style, self.at + 1);
        }
        self.at += backticks.max(1);
    }

    pub(super) fn closing_quote(&mut self) {
        let rest = self.scan.slice(self.at..self.end);
        let single = self.single_quote_at == Some(self.at);
        if single {
            self.single_quote_at = None;
            self.convert("’", self.style, self.at + 1);
        } else if rest.starts_with("''") && self.open_quotes > 0 {
            self.open_quotes -= 1;
            self.convert("”", self.style, self.at + 2);
        } else {
            self.at += 1;
        }
    }
}

/// Whether a word such as Theorem, Fig or Section ends here.
fn ends_with_capitalised_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let small = bytes.iter().rev().take_while(|byte| byte.is_ascii_lowercase()).count();
    let capital = bytes.iter().rev().nth(small).is_some_and(u8::is_ascii_uppercase);
    let free_before = !bytes.iter().rev().nth(small + 1).is_some_and(u8::is_ascii_alphanumeric);
    small >= 2 && capital && free_before
}

/// Where the quote that opens at the start of this text is closed: `quoted'.
fn closing_single_quote(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if !bytes.get(1)?.is_ascii_alphanumeric() {
        return None;
    }
    for (index, byte) in bytes.iter().enumerate().take(QUOTED_BYTES_MAX).skip(2) {
        match byte {
            b'`' | b'$' | b'{' | b'}' | b'\\' => return None,
            b'\'' => {
                // An apostrophe within a word, or two for a double quote, close nothing.
                let next = bytes.get(index + 1);
                if !next.is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'\'' || !next.is_ascii()) {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}
