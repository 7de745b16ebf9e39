//! How the parts of a formula are set side by side.

use std::ops::Range;

use super::super::pieces::Pieces;
use super::{Gap, Parser};

impl<'s> Parser<'_, 's> {
    pub(super) fn emit_text(&mut self, out: &mut Pieces<'s>, text: &str, source: Range<usize>) {
        self.close_gap(out, text.chars().next());
        out.push(text, self.style, source);
        self.after_operator = text.ends_with(['=', '<', '>', '(', '[', '{', ',', '/', '|', '∈']);
    }

    pub(super) fn emit(&mut self, out: &mut Pieces<'s>, pieces: Pieces<'s>) {
        if pieces.is_empty() {
            return;
        }
        self.close_gap(out, pieces.first_character());
        out.append(pieces);
        self.after_operator = false;
    }

    pub(super) fn emit_spaced(&mut self, out: &mut Pieces<'s>, text: &str, source: Range<usize>) {
        let unary = self.tight || out.is_empty() || self.after_operator;
        if unary {
            self.close_gap(out, text.chars().next());
            out.push(text, self.style, source);
        } else {
            self.gap = Gap::None;
            out.push(&format!(" {text}"), self.style, source.clone());
            self.gap = Gap::Blank(source.end..source.end);
        }
        self.after_operator = true;
    }

    pub(super) fn emit_word(&mut self, out: &mut Pieces<'s>, word: &Pieces<'s>) {
        let (Some(first), Some(last)) = (word.runs().first(), word.runs().last()) else {
            return;
        };
        let (start, end) = (first.source.start, last.source.end);
        if self.gap == Gap::None
            && out
                .last_character()
                .is_some_and(|last| last.is_alphanumeric() || last == ')')
        {
            self.gap = Gap::Blank(start..start);
        }
        self.close_gap(out, word.first_character());
        for run in word.runs() {
            out.push(&run.text, run.style, run.source.clone());
        }
        self.gap = Gap::Word(end);
        self.after_operator = true;
    }

    fn close_gap(&mut self, out: &mut Pieces<'s>, next: Option<char>) {
        match std::mem::replace(&mut self.gap, Gap::None) {
            Gap::Blank(source) if out.last_character().is_some_and(|last| last != ' ') => {
                let opens = out
                    .last_character()
                    .is_some_and(|last| matches!(last, '(' | '[' | '{' | '⟨' | '⌈' | '⌊'));
                let closes = next.is_some_and(|next| matches!(next, ')' | ']' | '}' | '⟩' | '⌉' | '⌋' | ','));
                if !opens && !closes {
                    out.push(" ", self.style, source);
                }
            }
            Gap::Word(at) if next.is_some_and(|next| next.is_alphanumeric() || next == '√') => {
                out.push(" ", self.style, at..at);
            }
            Gap::None | Gap::Blank(_) | Gap::Word(_) => {}
        }
    }
}
