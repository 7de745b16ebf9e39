//! The normal form of a text, and which part of the text each of its bytes stands for.

use std::ops::Range;

/// A text in normal form. It is longer or shorter than the text that it was made from, but mostly it follows it byte by
/// byte, so its origin is kept in stretches.
#[derive(Debug, Default)]
pub(super) struct Form {
    text: String,
    /// In order, without gaps.
    stretches: Vec<Stretch>,
}

#[derive(Debug, Clone, Copy)]
struct Stretch {
    /// Where it begins in the normal form; it reaches to where the next one begins.
    at: u32,
    /// The bytes that it stands for: begin and end.
    origin: (u32, u32),
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Each byte stands for one byte, in order.
    Bytewise,
    /// Every byte stands for all of the origin, a capital or not.
    Whole { is_upper: bool },
}

impl Form {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            text: String::with_capacity(capacity),
            stretches: Vec::new(),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Adds ASCII text in lower case, each byte for one byte from `origin` on.
    pub(super) fn push_ascii(&mut self, text: &str, origin: usize) {
        let at = self.text.len();
        let follows = self.stretches.last().is_some_and(|last| {
            last.kind == Kind::Bytewise && last.origin.0 as usize + (at - last.at as usize) == origin
        });
        if !follows {
            self.stretches.push(Stretch {
                at: short(at),
                origin: (short(origin), short(origin)),
                kind: Kind::Bytewise,
            });
        }
        self.text.push_str(text);
        self.text[at..].make_ascii_lowercase();
    }

    /// Adds a character that stands for all of `origin`.
    pub(super) fn push(&mut self, c: char, origin: &Range<usize>, is_upper: bool) {
        let origin = (short(origin.start), short(origin.end));
        let kind = Kind::Whole { is_upper };
        if !self
            .stretches
            .last()
            .is_some_and(|last| last.kind == kind && last.origin == origin)
        {
            self.stretches.push(Stretch {
                at: short(self.text.len()),
                origin,
                kind,
            });
        }
        self.text.push(c);
    }

    /// Adds a part of another form of the same text.
    pub(super) fn push_part(&mut self, other: &Self, part: Range<usize>) {
        let mut at = part.start;
        while at < part.end {
            let index = other.index(at);
            let stretch = other.stretches[index];
            let next = other
                .stretches
                .get(index + 1)
                .map_or(other.text.len(), |next| next.at as usize);
            let skipped = short(at) - stretch.at;
            let origin = match stretch.kind {
                Kind::Bytewise => (stretch.origin.0 + skipped, stretch.origin.1),
                Kind::Whole { .. } => stretch.origin,
            };
            self.stretches.push(Stretch {
                at: short(self.text.len()),
                origin,
                kind: stretch.kind,
            });
            let end = next.min(part.end);
            self.text.push_str(&other.text[at..end]);
            at = end;
        }
    }

    /// What a part stands for.
    pub(super) fn origin(&self, part: &Range<usize>) -> Range<usize> {
        if part.is_empty() || part.end > self.text.len() {
            return 0..0;
        }
        self.origin_at(part.start).start..self.origin_at(part.end - 1).end
    }

    /// Whether the byte at `at` stands for a capital of `readable`, which the form was made from.
    pub(super) fn is_upper(&self, at: usize, readable: &str) -> bool {
        if at >= self.text.len() {
            return false;
        }
        match self.stretches[self.index(at)].kind {
            Kind::Bytewise => readable
                .as_bytes()
                .get(self.origin_at(at).start)
                .is_some_and(u8::is_ascii_uppercase),
            Kind::Whole { is_upper } => is_upper,
        }
    }

    fn origin_at(&self, at: usize) -> Range<usize> {
        let stretch = self.stretches[self.index(at)];
        match stretch.kind {
            Kind::Bytewise => {
                let start = stretch.origin.0 as usize + (at - stretch.at as usize);
                start..start + 1
            }
            Kind::Whole { .. } => stretch.origin.0 as usize..stretch.origin.1 as usize,
        }
    }

    /// The stretch that holds a byte; there is one, since they leave no gap.
    fn index(&self, at: usize) -> usize {
        self.stretches
            .partition_point(|stretch| stretch.at as usize <= at)
            .saturating_sub(1)
    }
}

/// Texts are cut to 1 MiB before they come here, and no character becomes more than a few.
fn short(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
