//! Runs as they are built.

use std::ops::Range;

use super::{Run, Style};

/// A growing list of runs. Neighbours that repeat the source letter by letter become one run.
#[derive(Debug)]
pub(super) struct Pieces<'s> {
    source: &'s str,
    runs: Vec<Run>,
    /// Whether the last run repeats its slice of the source.
    last_is_verbatim: bool,
}

impl<'s> Pieces<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self {
            source,
            runs: Vec::new(),
            last_is_verbatim: false,
        }
    }

    pub(super) fn push(&mut self, text: &str, style: Style, source: Range<usize>) {
        if text.is_empty() {
            return;
        }
        let verbatim = self.source.get(source.clone()) == Some(text);
        if verbatim
            && self.last_is_verbatim
            && let Some(last) = self.runs.last_mut()
            && last.style == style
            && last.source.end == source.start
        {
            last.text.push_str(text);
            last.source.end = source.end;
            return;
        }
        self.runs.push(Run {
            text: text.to_owned(),
            style,
            source,
        });
        self.last_is_verbatim = verbatim;
    }

    pub(super) fn append(&mut self, other: Self) {
        for run in other.runs {
            self.push(&run.text, run.style, run.source);
        }
    }

    /// Gives back what the last runs claim of the source from `end` on.
    pub(super) fn end_by(&mut self, end: usize) {
        for run in self.runs.iter_mut().rev().take_while(|run| run.source.end > end) {
            run.source.end = end;
            run.source.start = run.source.start.min(end);
        }
    }

    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub(super) fn into_runs(self) -> Vec<Run> {
        self.runs
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(super) fn first_character(&self) -> Option<char> {
        self.runs.first().and_then(|run| run.text.chars().next())
    }

    pub(super) fn last_character(&self) -> Option<char> {
        self.runs.last().and_then(|run| run.text.chars().next_back())
    }
}
