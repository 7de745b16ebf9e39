//! Where the brackets and formula delimiters of a source stand, found once, so that no later look-up walks the text again.

use std::ops::Range;

/// The places of a source's paired signs, in bytes. Signs behind a backslash do not count.
#[derive(Debug)]
pub(super) struct Scan<'s> {
    pub(super) source: &'s str,
    /// Opening and closing brace of each group, by the opening one.
    braces: Vec<(usize, usize)>,
    dollars: Vec<usize>,
    double_dollars: Vec<usize>,
    /// `\)`
    closing_parentheses: Vec<usize>,
    /// `\]`
    closing_brackets: Vec<usize>,
}

/// The end of a formula.
#[derive(Debug, Clone, Copy)]
pub(super) enum Delimiter {
    Dollar,
    DoubleDollar,
    Parenthesis,
    Bracket,
}

impl<'s> Scan<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        let mut scan = Self {
            source,
            braces: Vec::new(),
            dollars: Vec::new(),
            double_dollars: Vec::new(),
            closing_parentheses: Vec::new(),
            closing_brackets: Vec::new(),
        };
        let bytes = source.as_bytes();
        let mut open = Vec::new();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'\\' => {
                    match bytes.get(at + 1) {
                        Some(b')') => scan.closing_parentheses.push(at),
                        Some(b']') => scan.closing_brackets.push(at),
                        _ => {}
                    }
                    // Of a longer character this skips the first byte only; the others are no signs.
                    at += 1;
                }
                b'{' => open.push(at),
                b'}' => scan.braces.extend(open.pop().map(|opening| (opening, at))),
                b'$' => {
                    scan.dollars.push(at);
                    if bytes.get(at + 1) == Some(&b'$') {
                        scan.double_dollars.push(at);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        scan.braces.sort_unstable();
        scan
    }

    /// The inside of the group that opens at this byte, if it ends before `end`.
    pub(super) fn group(&self, opening: usize, end: usize) -> Option<Range<usize>> {
        let index = self.braces.binary_search_by_key(&opening, |(open, _)| *open).ok()?;
        let (_, closing) = self.braces.get(index)?;
        (*closing < end).then_some(opening + 1..*closing)
    }

    /// Where the next delimiter of this kind stands, from `from` on and wholly before `end`.
    pub(super) fn next(&self, delimiter: Delimiter, from: usize, end: usize) -> Option<usize> {
        let (places, length) = match delimiter {
            Delimiter::Dollar => (&self.dollars, 1),
            Delimiter::DoubleDollar => (&self.double_dollars, 2),
            Delimiter::Parenthesis => (&self.closing_parentheses, 2),
            Delimiter::Bracket => (&self.closing_brackets, 2),
        };
        let place = *places.get(places.partition_point(|place| *place < from))?;
        (place + length <= end).then_some(place)
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.source.as_bytes().get(at).copied()
    }

    /// The character that starts at this byte, if it starts before `end`.
    pub(super) fn character(&self, at: usize, end: usize) -> Option<char> {
        self.slice(at..end).chars().next()
    }

    /// This part of the source; empty when the range is none.
    pub(super) fn slice(&self, range: Range<usize>) -> &'s str {
        self.source.get(range).unwrap_or_default()
    }

    /// The name of the macro whose backslash stands at this byte: letters, or one other character; and where it ends.
    pub(super) fn macro_name(&self, backslash: usize, end: usize) -> Option<(&'s str, usize)> {
        let rest = self.slice(backslash + 1..end);
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let length = if letters > 0 {
            letters
        } else {
            rest.chars().next()?.len_utf8()
        };
        Some((rest.get(..length)?, backslash + 1 + length))
    }

    /// The first byte from `at` on that is not white space, at most `end`.
    pub(super) fn skip_blanks(&self, at: usize, end: usize) -> usize {
        let rest = self.slice(at..end);
        end.min(at + rest.bytes().take_while(u8::is_ascii_whitespace).count())
    }
}
