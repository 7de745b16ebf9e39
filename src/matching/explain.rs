//! Why a paper fits a term, or what it narrowly missed, in words.

use super::{
    author::Name,
    expression::{Expression, Leaf, Scope, Spelling},
    fault::QueryError,
    matcher::{Match, Matcher},
    normalise::Text,
    phrase::{Phrase, Rules},
    stem::stemmed,
    validate::expression,
    verdict::{Evidence, Miss, Verdict},
};
use crate::model::{Author, Paper, Term};

/// The most near misses that are told: more than that explains nothing.
const MISSES_MAX: usize = 12;
/// The longest piece of a paper that is quoted, in characters.
const QUOTE_CHARS_MAX: usize = 60;

/// Says whether and why a paper fits a term. The pieces of the paper in it are as untrusted as the paper.
///
/// # Errors
/// If the term cannot be read.
pub fn explain(term: &Term, paper: &Paper) -> Result<Verdict, QueryError> {
    let expression = expression(term)?;
    let case = Case {
        paper,
        stemming: term.stemming,
    };
    if let Some(found) = case.fits(&expression)? {
        return Ok(Verdict::Fits(case.evidence(&found)));
    }
    let mut misses = Vec::new();
    case.misses(&expression, &mut misses)?;
    misses.dedup();
    misses.truncate(MISSES_MAX);
    Ok(Verdict::Misses(misses))
}

/// One paper, and how its words are compared.
struct Case<'p> {
    paper: &'p Paper,
    stemming: bool,
}

impl Case<'_> {
    /// The match of one part of a term alone. Every part is a query of its own.
    fn fits(&self, part: &Expression) -> Result<Option<Match>, QueryError> {
        Ok(Matcher::of(part, self.stemming)?.find(self.paper).into_iter().next())
    }

    fn evidence(&self, found: &Match) -> Vec<Evidence> {
        let paper = self.paper;
        let texts = [
            ("title", paper.title.as_str(), &found.title),
            ("abstract", paper.abstract_text.as_str(), &found.abstract_text),
            ("comment", paper.comment.as_deref().unwrap_or_default(), &found.comment),
            (
                "journal reference",
                paper.journal_ref.as_deref().unwrap_or_default(),
                &found.journal_ref,
            ),
        ];
        let mut evidence: Vec<Evidence> = Vec::new();
        let mut add = |place, found: &str| {
            let found = quote(found);
            if !evidence
                .iter()
                .any(|known: &Evidence| known.place == place && known.found == found)
            {
                evidence.push(Evidence { place, found });
            }
        };
        for (place, text, ranges) in texts {
            ranges
                .iter()
                .filter_map(|range| text.get(range.clone()))
                .for_each(|found| add(place, found));
        }
        let authors = found.authors.iter().filter_map(|index| paper.authors.get(*index));
        authors.for_each(|author| add("authors", &author.name));
        if evidence.is_empty() {
            // Only a category, or the absence of something, can speak without a text.
            evidence.push(Evidence {
                place: "categories",
                found: quote(&paper.categories.join(", ")),
            });
        }
        evidence
    }

    /// Collects why a part that does not fit does not.
    fn misses(&self, part: &Expression, misses: &mut Vec<Miss>) -> Result<(), QueryError> {
        if misses.len() >= MISSES_MAX {
            return Ok(());
        }
        match part {
            Expression::Leaf(leaf) => misses.push(self.miss(leaf)),
            Expression::Not(inner) => {
                if let Some(found) = self.fits(inner)? {
                    let first = self.evidence(&found).into_iter().next();
                    misses.extend(first.map(|Evidence { place, found }| Miss::Excluded {
                        excluded: inner.to_string(),
                        found,
                        place,
                    }));
                }
            }
            Expression::Near { left, right, distance } => {
                let before = misses.len();
                for side in [left, right] {
                    if self.fits(side)?.is_none() {
                        self.misses(side, misses)?;
                    }
                }
                if misses.len() == before {
                    misses.push(Miss::TooFar {
                        left: left.to_string(),
                        right: right.to_string(),
                        distance: *distance,
                    });
                }
            }
            Expression::And(parts) | Expression::Or(parts) => {
                for part in parts {
                    let is_met = match part {
                        Expression::Not(inner) => self.fits(inner)?.is_none(),
                        other => self.fits(other)?.is_some(),
                    };
                    if !is_met {
                        self.misses(part, misses)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn miss(&self, leaf: &Leaf) -> Miss {
        match leaf {
            Leaf::Words { scope, text, spelling } => self.miss_words(*scope, text, *spelling),
            Leaf::Author(name) => miss_author(name, &self.paper.authors),
            Leaf::Category(pattern) => Miss::Category {
                wanted: pattern.clone(),
                found: quote(&self.paper.categories.join(", ")),
            },
        }
    }

    fn miss_words(&self, scope: Scope, wanted: &str, spelling: Spelling) -> Miss {
        let own = |wanted: &str| wanted.to_owned();
        let absent = Miss::Absent {
            wanted: own(wanted),
            place: scope,
        };
        let Some(phrase) = Phrase::new(wanted, spelling, false) else {
            return absent;
        };
        let loose = Phrase::new(wanted, Spelling::Ordinary, false).unwrap_or_else(|| phrase.clone());
        let anycase = loose.under(Rules {
            capitals: false,
            ..Rules::ALL
        });
        let texts: Vec<Text<'_>> = self.fields(scope).into_iter().map(Text::new).collect();
        let first = |phrase: &Phrase| {
            texts
                .iter()
                .find_map(|text| phrase.find(text).map(|range| (text, range)))
        };
        let quoted = |phrase: &Phrase| first(phrase).map(|(text, range)| quote(text.readable(&range)));
        if let Some(found) = quoted(&anycase) {
            let wanted = own(wanted);
            return match spelling {
                Spelling::Exact => Miss::Spelling { wanted, found },
                _ if loose.has_capitals() => Miss::Capitals { wanted, found },
                // What fits in any case and is not in capitals fits.
                _ => absent,
            };
        }
        let singular = ["s", "es"]
            .iter()
            .find_map(|ending| quoted(&anycase.with_ending(|last| last.strip_suffix(ending).map(str::to_owned))?));
        if let Some(found) = singular {
            return Miss::Singular {
                wanted: own(wanted),
                found,
            };
        }
        if let Some(found) = anycase.joined().and_then(|joined| quoted(&joined)) {
            return Miss::Joined {
                wanted: own(wanted),
                found,
            };
        }
        let inside = loose.under(Rules {
            capitals: false,
            whole_words: false,
            plural: false,
        });
        if let Some((text, range)) = first(&inside) {
            let word = around(text, range.start, range.end);
            return Miss::Inside {
                wanted: own(wanted),
                word: quote(text.readable(&word)),
            };
        }
        if let Some(found) = self.related(scope, wanted) {
            return Miss::Related {
                wanted: own(wanted),
                found,
            };
        }
        let mut parts = anycase.parts().filter(Phrase::has_word).peekable();
        if loose.parts().nth(1).is_some() && parts.peek().is_some() && parts.all(|part| first(&part).is_some()) {
            return Miss::Apart { wanted: own(wanted) };
        }
        self.elsewhere(scope, wanted, &phrase).unwrap_or(absent)
    }

    /// A piece of text whose stems agree.
    fn related(&self, scope: Scope, wanted: &str) -> Option<String> {
        let phrase = Phrase::new(wanted, Spelling::Ordinary, true)?.under(Rules {
            capitals: false,
            plural: false,
            ..Rules::ALL
        });
        self.fields(scope).into_iter().find_map(|source| {
            let text = stemmed(Text::new(source));
            phrase.find(&text).map(|range| quote(text.readable(&range)))
        })
    }

    fn elsewhere(&self, scope: Scope, wanted: &str, phrase: &Phrase) -> Option<Miss> {
        [Scope::Title, Scope::Abstract, Scope::Comment, Scope::JournalRef]
            .into_iter()
            .filter(|place| *place != scope)
            .find(|place| {
                self.fields(*place)
                    .into_iter()
                    .any(|source| phrase.find(&Text::new(source)).is_some())
            })
            .map(|place| Miss::Elsewhere {
                wanted: wanted.to_owned(),
                place,
            })
    }

    fn fields(&self, scope: Scope) -> Vec<&str> {
        let paper = self.paper;
        match scope {
            Scope::TitleOrAbstract => vec![&paper.title, &paper.abstract_text],
            Scope::Title => vec![&paper.title],
            Scope::Abstract => vec![&paper.abstract_text],
            Scope::Comment => paper.comment.as_deref().into_iter().collect(),
            Scope::JournalRef => paper.journal_ref.as_deref().into_iter().collect(),
        }
    }
}

fn miss_author(wanted: &str, authors: &[Author]) -> Miss {
    let namesake = Name::new(wanted).and_then(|wanted| {
        authors
            .iter()
            .find(|author| Name::new(&author.name).is_some_and(|name| name.family() == wanted.family()))
    });
    let wanted = wanted.to_owned();
    match namesake {
        Some(author) => Miss::OtherAuthor {
            wanted,
            found: quote(&author.name),
        },
        None => Miss::NoAuthor { wanted },
    }
}

/// Widens a stretch to the whole words that it cuts.
fn around(text: &Text<'_>, start: usize, end: usize) -> std::ops::Range<usize> {
    let mut range = start..end;
    for word in text.words() {
        if word.start < start && start < word.end {
            range.start = word.start;
        }
        if word.start < end && end < word.end {
            range.end = word.end;
        }
    }
    range
}

/// A piece of a paper on one line, cut where it is long.
fn quote(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(QUOTE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::fixture::paper;

    #[test]
    fn a_near_miss_is_told_in_words() {
        let check = |term: &Term, title: &str, expected: &str| {
            let told = explain(term, &paper(title, "An abstract on speech."))
                .unwrap()
                .to_string();
            assert_eq!(told, expected, "{:?} in {title:?}", term.text);
        };
        let phrase = |text: &str| Term::phrase(text);
        check(&phrase("DARTS"), "DARTS again", "fits: `DARTS` in title");
        check(
            &phrase("speech"),
            "Speech",
            "fits: `Speech` in title; `speech` in abstract",
        );
        check(
            &phrase("DARTS"),
            "On darts",
            "`DARTS` is in capitals; the text has `darts`",
        );
        check(
            &phrase("RAG"),
            "Fragment storage",
            "`RAG` is only inside the word `Fragment`",
        );
        check(
            &phrase("graph networks"),
            "A graph network",
            "`graph networks` is a plural; found only the singular `graph network`",
        );
        check(
            &phrase("non-invasive"),
            "Noninvasive probes",
            "`non-invasive` is written as one word: `Noninvasive`",
        );
        check(
            &phrase("learned metrics"),
            "Learning metric",
            "found only `Learning metric`, a relative of `learned metrics`",
        );
        check(
            &phrase("network graph"),
            "Graph of a network",
            "the words of `network graph` are there, but not next to each other in this order",
        );
        check(
            &phrase("quantum"),
            "Graphs",
            "nothing like `quantum` in title or abstract",
        );
        check(&phrase("CVPR"), "Graphs", "`CVPR` is only in the comment");
        check(&Term::author("J. Doe"), "Graphs", "fits: `Jane Doe` in authors");
        check(
            &Term::author("Karl Doe"),
            "Graphs",
            "no author `Karl Doe`, only `Jane Doe`",
        );
        check(&Term::author("Roe"), "Graphs", "no author of the name `Roe`");
        let query = |text: &str| Term::query(text);
        check(
            &query("graphs AND NOT ti:storage"),
            "Storage of graphs",
            "left out because of `Storage` in title (NOT ti:\"storage\")",
        );
        check(
            &query("graph AND quantum AND cat:hep-th"),
            "Graph",
            "nothing like `quantum` in title or abstract; filed under cs.LG, stat.ML, not under hep-th",
        );
        check(
            &query("=Graph"),
            "graph",
            "`Graph` is asked for in exactly this spelling; the text has `graph`",
        );
        check(
            &query("deep NEAR/1 graph"),
            "Deep and very old graph",
            "\"deep\" and \"graph\" are further apart than NEAR/1 allows",
        );
        check(&query("ti:speech"), "Graph", "`speech` is only in the abstract");
        check(&query("cat:cs.LG"), "Graph", "fits: `cs.LG, stat.ML` in categories");
    }

    #[test]
    fn a_verdict_agrees_with_the_matcher() {
        for (text, title) in [
            ("graph", "Graphs"),
            ("RAG", "rag"),
            ("x NOT", "x not"),
            ("C++", "c++17"),
        ] {
            let term = Term::phrase(text);
            let paper = paper(title, "");
            let fits = !Matcher::new(std::slice::from_ref(&term))
                .unwrap()
                .find(&paper)
                .is_empty();
            assert_eq!(
                matches!(explain(&term, &paper).unwrap(), Verdict::Fits(_)),
                fits,
                "{text} {title}"
            );
        }
    }
}
