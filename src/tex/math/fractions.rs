//! Fractions, binomials and roots, with brackets where a line of text needs them.

use super::super::pieces::Pieces;
use super::super::runs_to_text;
use super::super::tables::{self, Spacing};
use super::shape::{is_operator, is_single};
use super::{Gap, Parser};

impl<'s> Parser<'_, 's> {
    pub(super) fn root(&mut self, out: &mut Pieces<'s>, from: usize, after: usize) -> Option<()> {
        let mut root = Pieces::new(self.scan.source);
        let mut sign = "√".to_owned();
        if self.peek() == Some(b'[') {
            let close = self.at + self.scan.slice(self.at..self.end).find(']')?;
            let degree = self.nested(self.at + 1..close, true)?;
            self.at = close + 1;
            sign = match runs_to_text(degree.runs()).as_str() {
                "2" => sign,
                "3" => "∛".to_owned(),
                "4" => "∜".to_owned(),
                other => tables::raised(other)? + "√",
            };
        }
        root.push(&sign, self.style, from..after);
        // `\sqrt(s)` is a slip for `\sqrt{s}`, and reads well as it stands.
        if self.peek() != Some(b'(') {
            let inside_from = self.at;
            let inside = self.argument(self.tight)?;
            let fence = !is_single(&inside) || self.touches_next();
            self.fenced(&mut root, inside, fence, inside_from);
        }
        self.emit(out, root);
        Some(())
    }

    /// `{a \over b}` and `{n \choose k}`: the group is split at the macro that stands here.
    pub(super) fn split_group(&mut self, before: &Pieces<'s>) -> Option<Option<Pieces<'s>>> {
        if self.peek() != Some(b'\\') {
            return None;
        }
        let (name, after) = self.scan.macro_name(self.at, self.end)?;
        if !matches!(name, "over" | "choose") {
            return None;
        }
        let mut over = Pieces::new(self.scan.source);
        for run in before.runs() {
            over.push(&run.text, run.style, run.source.clone());
        }
        self.gap = Gap::None;
        let under_from = self.scan.skip_blanks(after, self.end);
        let under = self.nested(under_from..self.end, self.tight);
        self.at = self.end;
        Some(under.map(|under| match name {
            "over" => self.fraction(over, under, under_from, false),
            _ => self.choice(over, under, under_from),
        }))
    }

    pub(super) fn fraction(&self, over: Pieces<'s>, under: Pieces<'s>, under_from: usize, fence: bool) -> Pieces<'s> {
        let start = over.runs().first().map_or(under_from, |run| run.source.start);
        let mut fraction = Pieces::new(self.scan.source);
        if fence {
            fraction.push("(", self.style, start..start);
        }
        let compound_over = runs_to_text(over.runs()).contains(is_operator);
        self.fenced(&mut fraction, over, compound_over, start);
        fraction.push("/", self.style, under_from..under_from);
        let compound_under = !is_single(&under);
        self.fenced(&mut fraction, under, compound_under, under_from);
        if fence {
            fraction.push(")", self.style, self.at..self.at);
        }
        fraction
    }

    pub(super) fn choice(&self, over: Pieces<'s>, under: Pieces<'s>, under_from: usize) -> Pieces<'s> {
        let start = over.runs().first().map_or(under_from, |run| run.source.start);
        let mut choice = Pieces::new(self.scan.source);
        choice.push("(", self.style, start..start);
        choice.append(over);
        choice.push(" choose ", self.style, under_from..under_from);
        choice.append(under);
        choice.push(")", self.style, self.at..self.at);
        choice
    }

    fn fenced(&self, out: &mut Pieces<'s>, inside: Pieces<'s>, fence: bool, from: usize) {
        if fence {
            out.push("(", self.style, from..from);
        }
        let end = inside.runs().last().map_or(from, |run| run.source.end);
        out.append(inside);
        if fence {
            out.push(")", self.style, end..end);
        }
    }

    /// Whether a fraction here would run into its neighbours.
    pub(super) fn needs_fence(&self, out: &Pieces<'s>) -> bool {
        let touches_last = self.gap == Gap::None
            && out
                .last_character()
                .is_some_and(|last| last.is_alphanumeric() || matches!(last, ')' | ']' | '/'));
        touches_last || self.touches_next()
    }

    fn touches_next(&self) -> bool {
        match self.scan.character(self.at, self.end) {
            Some('\\') => match self.scan.macro_name(self.at, self.end) {
                Some((name, _)) => match tables::symbol(name) {
                    Some((text, Spacing::Close)) => text.chars().all(char::is_alphanumeric),
                    Some((_, Spacing::Spaced | Spacing::Word)) => false,
                    None => name.len() > 1 && !matches!(name, "right" | "over" | "quad" | "qquad" | "big" | "bigr"),
                },
                None => false,
            },
            Some(next) => next.is_alphanumeric() || matches!(next, '(' | '{' | '^' | '_' | '['),
            None => false,
        }
    }
}
