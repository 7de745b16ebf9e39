//! What a word or phrase accepts: whole words, capitals as capitals, a plural at the end.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization as _;

use super::{
    expression::Spelling,
    letters::is_unspaced,
    normalise::{Text, words},
    stem::stemmed,
};

/// How many characters after a `word*` are taken for the rest of its word.
const PREFIX_REST_MAX: usize = 100;

/// A word or phrase ready to be compared.
#[derive(Debug, Clone)]
pub(crate) struct Phrase {
    chunks: Vec<Chunk>,
    spelling: Spelling,
    rules: Rules,
    /// The phrase as one would say it; what [`Spelling::Exact`] compares with.
    exact: String,
}

/// The part of a phrase between two blanks.
#[derive(Debug, Clone)]
struct Chunk {
    /// In normal form.
    text: String,
    /// Where capitals must stand; empty unless the chunk is written in capitals.
    capitals: Vec<usize>,
}

/// Which rules hold. All do, except where a near miss is sought or stems are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) capitals: bool,
    pub(crate) whole_words: bool,
    pub(crate) plural: bool,
}

impl Rules {
    pub(crate) const ALL: Self = Self {
        capitals: true,
        whole_words: true,
        plural: true,
    };
}

impl Phrase {
    /// Prepares a phrase; `None` if it holds no letter or digit.
    pub(crate) fn new(text: &str, spelling: Spelling, stemming: bool) -> Option<Self> {
        let exact = super::normalise::readable(text).nfc().collect();
        let normal = Text::new(text);
        // A plural is already one of the forms that share a stem.
        let stems = stemming && spelling == Spelling::Ordinary;
        let normal = if stems { stemmed(normal) } else { normal };
        let mut chunks = Vec::new();
        let mut start = 0;
        for chunk in normal.folded().split(' ') {
            let range = start..start + chunk.len();
            start = range.end + 1;
            if !chunk.is_empty() {
                chunks.push(Chunk {
                    text: chunk.to_owned(),
                    capitals: capitals(&normal, range),
                });
            }
        }
        let phrase = Self {
            chunks,
            spelling,
            rules: Rules {
                plural: !stems,
                ..Rules::ALL
            },
            exact,
        };
        phrase.has_word().then_some(phrase)
    }

    /// The same phrase under other rules.
    pub(crate) fn under(&self, rules: Rules) -> Self {
        Self { rules, ..self.clone() }
    }

    /// The same phrase with its last chunk changed, if `change` has one.
    pub(crate) fn with_ending(&self, change: impl FnOnce(&str) -> Option<String>) -> Option<Self> {
        let mut phrase = self.clone();
        let last = phrase.chunks.last_mut()?;
        last.text = change(&last.text).filter(|text| !text.is_empty())?;
        last.capitals.retain(|at| *at < last.text.len());
        Some(phrase)
    }

    /// The same phrase written without blanks, if it has any.
    pub(crate) fn joined(&self) -> Option<Self> {
        let joined = Chunk {
            text: self.chunks.iter().map(|chunk| chunk.text.as_str()).collect(),
            capitals: Vec::new(),
        };
        (self.chunks.len() > 1).then(|| Self {
            chunks: vec![joined],
            ..self.clone()
        })
    }

    /// The single chunks as phrases of their own.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Self> {
        self.chunks.iter().map(|chunk| Self {
            chunks: vec![chunk.clone()],
            ..self.clone()
        })
    }

    /// Whether it holds a letter or digit.
    pub(crate) fn has_word(&self) -> bool {
        self.chunks.iter().any(|chunk| words(&chunk.text).next().is_some())
    }

    /// Whether a word of it is written in capitals.
    pub(crate) fn has_capitals(&self) -> bool {
        self.chunks.iter().any(|chunk| !chunk.capitals.is_empty())
    }

    /// What every match begins with: the phrase up to the first place where it may vary.
    pub(crate) fn needle(&self) -> String {
        let fixed = self
            .chunks
            .iter()
            .position(|chunk| !chunk.capitals.is_empty())
            .map_or(self.chunks.len(), |first| first + 1);
        let chunks: Vec<&str> = self.chunks[..fixed].iter().map(|chunk| chunk.text.as_str()).collect();
        chunks.join(" ")
    }

    /// Whether the phrase stands at `start` of the normal form, where its needle does; if so, the stretch it takes.
    pub(crate) fn at(&self, text: &Text<'_>, start: usize) -> Option<Range<usize>> {
        let folded = text.folded();
        if self.rules.whole_words && !self.may_begin(text, start) {
            return None;
        }
        let mut at = start;
        for (index, chunk) in self.chunks.iter().enumerate() {
            if index > 0 {
                let before = &self.chunks[index - 1];
                if self.rules.capitals
                    && !before.capitals.is_empty()
                    && folded[at..].starts_with("s ")
                    && !text.is_upper(at)
                {
                    at += 1;
                }
                at += folded[at..].starts_with(' ').then_some(1)?;
            }
            if !folded[at..].starts_with(&chunk.text) {
                return None;
            }
            if self.rules.capitals && !chunk.capitals.iter().all(|capital| text.is_upper(at + capital)) {
                return None;
            }
            at += chunk.text.len();
        }
        let range = start..self.end(text, at)?;
        let spelt = self.spelling != Spelling::Exact || text.readable(&range).nfc().eq(self.exact.chars());
        spelt.then_some(range)
    }

    /// The first place where the phrase stands.
    pub(crate) fn find(&self, text: &Text<'_>) -> Option<Range<usize>> {
        let needle = self.needle();
        let folded = text.folded();
        let mut from = 0;
        while let Some(found) = folded.get(from..)?.find(&needle) {
            let start = from + found;
            if let Some(range) = self.at(text, start) {
                return Some(range);
            }
            from = start + folded[start..].chars().next().map_or(1, char::len_utf8);
        }
        None
    }

    fn may_begin(&self, text: &Text<'_>, start: usize) -> bool {
        let own = self.chunks[0].text.chars().next();
        let before = text.folded()[..start].chars().next_back();
        match (before, own) {
            // `.NET` is not in `ASP.NET`, which is a word of its own.
            (Some(before), Some(own)) if !own.is_alphanumeric() => !before.is_alphanumeric() || is_unspaced(before),
            _ => text.is_boundary(start),
        }
    }

    /// Where a match that reaches `at` ends, plural included; `None` if it would end within a word.
    fn end(&self, text: &Text<'_>, at: usize) -> Option<usize> {
        let folded = text.folded();
        if self.spelling == Spelling::Prefix {
            let rest = folded[at..]
                .chars()
                .take(PREFIX_REST_MAX)
                .take_while(|c| c.is_alphanumeric());
            return Some(at + rest.map(char::len_utf8).sum::<usize>());
        }
        if !self.rules.whole_words {
            return Some(at);
        }
        let last = &self.chunks[self.chunks.len() - 1];
        let own = last.text.chars().next_back()?;
        if !own.is_alphanumeric() {
            return Some(at);
        }
        if text.is_boundary(at) && !self.is_cut_short(&folded[at..]) {
            return Some(at);
        }
        let plural = self.rules.plural && self.spelling == Spelling::Ordinary && own.is_alphabetic();
        let endings: &[&str] = match (plural, last.capitals.is_empty()) {
            (false, _) => &[],
            (true, true) if takes_es(&last.text) => &["s", "es"],
            (true, _) => &["s"],
        };
        endings.iter().find_map(|ending| {
            let end = at + ending.len();
            let fits = folded[at..].starts_with(ending)
                && text.is_boundary(end)
                && (last.capitals.is_empty() || !self.rules.capitals || !text.is_upper(at));
            fits.then_some(end)
        })
    }

    /// A single letter followed by `+` or `#` is another name: `C` is not in `C++`.
    fn is_cut_short(&self, rest: &str) -> bool {
        let last = &self.chunks[self.chunks.len() - 1].text;
        let single = words(last).last().is_some_and(|word| last[word].chars().count() == 1);
        let symbols = rest.trim_start_matches(['+', '#']);
        single && symbols.len() < rest.len() && !symbols.starts_with(char::is_alphanumeric)
    }
}

/// Whether a plural can end in es: `bias` and `search` can, but `plan` is not in `planes`.
fn takes_es(word: &str) -> bool {
    ["s", "x", "z", "ch", "sh", "o"]
        .iter()
        .any(|ending| word.ends_with(ending))
}

/// Where capitals must stand: at every letter of a chunk that has two letters or more and no small one.
fn capitals(text: &Text<'_>, range: Range<usize>) -> Vec<usize> {
    let mut capitals = Vec::new();
    for (at, c) in text.folded()[range.clone()].char_indices() {
        if text.is_upper(range.start + at) {
            capitals.push(at);
        } else if c.is_lowercase() {
            return Vec::new();
        }
    }
    if capitals.len() < 2 { Vec::new() } else { capitals }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keyword: &str, text: &str, expected: Option<&str>) {
        let phrase = Phrase::new(keyword, Spelling::Ordinary, false).unwrap();
        let normal = Text::new(text);
        let found = phrase.find(&normal).map(|range| &text[normal.source_range(&range)]);
        assert_eq!(found, expected, "{keyword:?} in {text:?}");
    }

    /// CASES 12.
    #[test]
    fn words_are_whole() {
        check("RAG", "Fragment storage in organoids", None);
        check("GAN", "ORGAN MUSIC", None);
        check("AI", "Rainfall maps", None);
        for text in [
            "RAG for law",
            "A RAG-based index",
            "retrieval (RAG)",
            "GraphRAG/RAG",
            "RAG's",
            "x:RAG",
            "RAG",
        ] {
            check("RAG", text, Some("RAG"));
        }
        check("RAG", "RAG2 and GraphRAG", None);
        check("RAG", "RAG² at work", Some("RAG"));
        check("isis", "The cr-isis of ISIS", Some("isis"));
        check("non-invasive", "a non invasive probe", Some("non invasive"));
        check("non-invasive", "a noninvasive probe", None);
        check("-omics", "multi-omics", Some("omics"));
        check(
            "attention is all you need",
            "Attention Is All You Need, again",
            Some("Attention Is All You Need"),
        );
        check(
            "graph neural network",
            "Deep graph\n  neural network pruning",
            Some("graph\n  neural network"),
        );
    }

    /// CASES 11.
    #[test]
    fn capitals_stay_capitals() {
        check("DARTS", "Throwing darts: a study of a dart robot", None);
        check("DARTS", "Darts", None);
        check("DARTS", "DARTS: differentiable architecture search", Some("DARTS"));
        check("NAS", "NASs and more", Some("NASs"));
        check("NAS", "NASS", None);
        check("LLM agent", "LLMs agents", Some("LLMs agents"));
        check("gpt-4o", "GPT-4o's limits", Some("GPT-4o"));
        check("GPT-4o", "gpt-4o", None);
        check("darts", "DARTS", Some("DARTS"));
        check("R&D", "r&d", None);
        check("R&D", "on R\\&D", Some("R\\&D"));
        check("X", "the x axis", Some("x"));
    }

    #[test]
    fn the_last_word_may_be_a_plural() {
        check(
            "graph neural network",
            "Graph neural networks",
            Some("Graph neural networks"),
        );
        check("graph neural network", "graphs neural network", None);
        check("inductive bias", "inductive biases", Some("inductive biases"));
        check(
            "architecture search",
            "architecture searches",
            Some("architecture searches"),
        );
        check("plan", "two planes", None);
        check("networks", "a network", None);
        check("year 1990", "the year 1990s", None);
    }

    /// CASES 13.
    #[test]
    fn symbols_count_at_the_ends() {
        check("C++", "Safe C++: a survey", Some("C++"));
        check("C++", "C+", None);
        check("C++", "C++17", Some("C++"));
        check("C", "C++ and C#", None);
        check("C", "C, C++", Some("C"));
        check("F#", "In F#.", Some("F#"));
        check(".NET", "Why .NET?", Some(".NET"));
        check(".NET", "ASP.NET", None);
        check("A/B testing", "On a/b testing", None);
        check("A/B testing", "On A/B Testing", Some("A/B Testing"));
        check("[CLS] token", "the [CLS] token", Some("[CLS] token"));
        check("O(n log n)", "in $O(n log n)$ time", Some("O(n log n)"));
        check(
            "Alzheimer's disease",
            "Alzheimer’s disease",
            Some("Alzheimer’s disease"),
        );
        check("what is 2+2=4?", "What is 2+2=4? A", Some("What is 2+2=4?"));
    }

    #[test]
    fn scripts_without_blanks_match_anywhere() {
        check("模型", "大语言模型的研究", Some("模型"));
        check("语言 模型", "大语言模型", Some("语言模型"));
        check("RAG", "基于RAG的系统", Some("RAG"));
        check("한국", "한국어는", Some("한국"));
        check("가", "각", None);
    }

    /// CASES 7, 15.
    #[test]
    fn accents_and_forms_are_equal() {
        check("Fréchet mean", "Frechet means", Some("Frechet means"));
        check("Erdős-Rényi", "Erdos–Rényi graphs", Some("Erdos–Rényi"));
        check("Zu\u{308}rich model", "The Zürich model", Some("Zürich model"));
        check("fine-tuning", "ﬁne-tuning", Some("ﬁne-tuning"));
        check("\"chain of thought\"", "chain of thought", Some("chain of thought"));
    }
}
