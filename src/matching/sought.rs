//! What of the compiled terms is in one paper.

use std::{
    cell::OnceCell,
    collections::{BTreeSet, HashMap},
    ops::Range,
};

use super::{
    author::Name,
    expression::Scope,
    matcher::{AtomKind, Layer, Match, Matcher, Node},
    normalise::Text,
    stem::stemmed,
};
use crate::model::Paper;

const TITLE: usize = 0;
const ABSTRACT: usize = 1;
const COMMENT: usize = 2;
const JOURNAL_REF: usize = 3;
const FIELDS: usize = 4;

impl Scope {
    fn admits(self, field: usize) -> bool {
        match self {
            Self::TitleOrAbstract => field == TITLE || field == ABSTRACT,
            Self::Title => field == TITLE,
            Self::Abstract => field == ABSTRACT,
            Self::Comment => field == COMMENT,
            Self::JournalRef => field == JOURNAL_REF,
        }
    }
}

impl Layer {
    fn reads(&self, field: usize) -> bool {
        self.scopes.iter().any(|scope| scope.admits(field))
    }
}

/// What of the terms is in one paper.
pub(super) struct Sought<'p> {
    plain: [Option<Text<'p>>; FIELDS],
    stems: [Option<Text<'p>>; FIELDS],
    /// By atom.
    hits: HashMap<usize, Vec<Hit>>,
    /// The plans of which a part was found.
    pub(super) candidates: BTreeSet<usize>,
    /// Where the words of each field's plain form begin; made when NEAR first asks.
    word_starts: [OnceCell<Vec<usize>>; FIELDS],
    stem_starts: [OnceCell<Vec<usize>>; FIELDS],
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Hit {
    /// A stretch of the normal form of a field.
    Words {
        field: usize,
        stem: bool,
        range: Range<usize>,
    },
    Author(usize),
    Category,
}

impl<'p> Sought<'p> {
    pub(super) fn new(matcher: &Matcher, paper: &'p Paper) -> Self {
        let mut sought = Self {
            plain: [const { None }; FIELDS],
            stems: [const { None }; FIELDS],
            hits: HashMap::new(),
            candidates: BTreeSet::new(),
            word_starts: [const { OnceCell::new() }; FIELDS],
            stem_starts: [const { OnceCell::new() }; FIELDS],
        };
        let sources = [
            Some(&paper.title),
            Some(&paper.abstract_text),
            paper.comment.as_ref(),
            paper.journal_ref.as_ref(),
        ];
        for (field, source) in sources.into_iter().enumerate() {
            let Some(source) = source.filter(|source| !source.is_empty()) else {
                continue;
            };
            if matcher.plain.reads(field) {
                let text = Text::new(source);
                sought.read(matcher, &matcher.plain, field, false, &text);
                sought.plain[field] = Some(text);
            }
            if matcher.stems.reads(field) {
                let text = stemmed(Text::new(source));
                sought.read(matcher, &matcher.stems, field, true, &text);
                sought.stems[field] = Some(text);
            }
        }
        if !matcher.families.is_empty() {
            for (index, author) in paper.authors.iter().enumerate() {
                sought.read_author(matcher, index, &author.name);
            }
        }
        if !matcher.categories.is_empty() {
            for category in &paper.categories {
                let archive = category.split('.').next().unwrap_or_default();
                for pattern in [category.clone(), format!("{archive}.*")] {
                    for atom in matcher.categories.get(&pattern).into_iter().flatten() {
                        sought.note(matcher, *atom, Hit::Category);
                    }
                }
            }
        }
        sought
    }

    fn read(&mut self, matcher: &Matcher, layer: &Layer, field: usize, stem: bool, text: &Text<'_>) {
        let Some(automaton) = &layer.automaton else { return };
        for hit in automaton.find_overlapping_iter(text.folded()) {
            for atom in &layer.atoms[hit.pattern().as_usize()] {
                let AtomKind::Words { scope, phrase } = &matcher.atoms[*atom].kind else {
                    continue;
                };
                if !scope.admits(field) {
                    continue;
                }
                if let Some(range) = phrase.at(text, hit.start()) {
                    self.note(matcher, *atom, Hit::Words { field, stem, range });
                }
            }
        }
    }

    fn read_author(&mut self, matcher: &Matcher, index: usize, name: &str) {
        let Some(name) = Name::new(name) else { return };
        for atom in matcher.families.get(name.family()).into_iter().flatten() {
            if matches!(&matcher.atoms[*atom].kind, AtomKind::Author(wanted) if wanted.fits(&name)) {
                self.note(matcher, *atom, Hit::Author(index));
            }
        }
    }

    fn note(&mut self, matcher: &Matcher, atom: usize, hit: Hit) {
        self.candidates.extend(&matcher.atoms[atom].plans);
        self.hits.entry(atom).or_default().push(hit);
    }

    fn hits(&self, atom: usize) -> &[Hit] {
        self.hits.get(&atom).map_or(&[], Vec::as_slice)
    }

    /// Whether the paper fits; what speaks for it is added to `found`.
    pub(super) fn holds<'h>(&'h self, node: &Node, found: &mut Vec<&'h Hit>) -> bool {
        match node {
            Node::Atom(atom) => {
                found.extend(self.hits(*atom));
                !self.hits(*atom).is_empty()
            }
            Node::Not(inner) => !self.holds(inner, &mut Vec::new()),
            Node::Near { left, right, distance } => self.near(left, right, *distance, found),
            Node::And(parts) => parts.iter().all(|part| self.holds(part, found)),
            // Every branch is looked at, so that all that was found is marked.
            Node::Or(parts) => parts.iter().fold(false, |held, part| {
                let before = found.len();
                let holds = self.holds(part, found);
                if !holds {
                    found.truncate(before);
                }
                held | holds
            }),
        }
    }

    fn near<'h>(&'h self, left: &[usize], right: &[usize], distance: usize, found: &mut Vec<&'h Hit>) -> bool {
        let places = |atoms: &[usize]| -> Vec<(usize, usize, usize, &'h Hit)> {
            let mut places: Vec<_> = atoms
                .iter()
                .flat_map(|atom| self.hits(*atom))
                .filter_map(|hit| self.place(hit).map(|(field, first, last)| (field, first, last, hit)))
                .collect();
            places.sort_by_key(|(field, first, last, _)| (*field, *first, *last));
            places
        };
        let (left, right) = (places(left), places(right));
        let before = found.len();
        let width = right.iter().map(|(_, first, last, _)| last - first).max().unwrap_or(0);
        for (field, first, last, hit) in &left {
            // The right side is in order, so only the neighbourhood is looked at.
            let reach = (*field, first.saturating_sub(distance + 1 + width));
            let from = right.partition_point(|other| (other.0, other.1) < reach);
            for (other_field, other_first, other_last, other) in &right[from..] {
                if other_field != field || *other_first > last + distance + 1 {
                    break;
                }
                let follows = other_first > last;
                let precedes = first > other_last && *first <= other_last + distance + 1;
                if follows || precedes {
                    found.push(hit);
                    found.push(other);
                }
            }
        }
        found.len() > before
    }

    /// The field of a hit and the numbers of its first and last word.
    fn place(&self, hit: &Hit) -> Option<(usize, usize, usize)> {
        let Hit::Words { field, stem, range } = hit else {
            return None;
        };
        let (texts, starts) = if *stem {
            (&self.stems, &self.stem_starts)
        } else {
            (&self.plain, &self.word_starts)
        };
        let text = texts[*field].as_ref()?;
        let starts = starts[*field].get_or_init(|| text.words().map(|word| word.start).collect());
        let number = |at: usize| starts.partition_point(|start| *start <= at);
        Some((*field, number(range.start), number(range.end.saturating_sub(1))))
    }

    pub(super) fn marked(&self, found: Vec<&Hit>) -> Match {
        let mut ranges: [Vec<Range<usize>>; FIELDS] = Default::default();
        let mut authors = BTreeSet::new();
        for hit in found {
            match hit {
                Hit::Words { field, stem, range } => {
                    let texts = if *stem { &self.stems } else { &self.plain };
                    ranges[*field].extend(texts[*field].as_ref().map(|text| text.source_range(range)));
                }
                Hit::Author(index) => {
                    authors.insert(*index);
                }
                Hit::Category => {}
            }
        }
        let [title, abstract_text, comment, journal_ref] = ranges.map(merged);
        Match {
            term: 0,
            title,
            abstract_text,
            comment,
            journal_ref,
            authors: authors.into_iter().collect(),
        }
    }
}

/// Sorts ranges and joins those that overlap or repeat each other.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| (range.start, range.end));
    ranges.dedup_by(|next, before| {
        let overlaps = next.start < before.end;
        if overlaps {
            before.end = before.end.max(next.end);
        }
        overlaps
    });
    ranges
}
