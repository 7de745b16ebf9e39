//! What goes into one subscriber's digest: papers grouped by keyword, put in order and capped. Pure.
//!
//! Nothing here decides whether a paper is new; that is the store's knowledge. Here every pending paper ends in exactly
//! one of four places: a section, waiting for the next digest, settled as skipped, or named as not to be sent.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};

use crate::model::{ArxivId, Changes, Paper, PaperRecord, SectionRecord, Shown, Term, TermKind};

mod changes;

pub use changes::changes;

/// How many papers of one section may wait for later digests; older ones are settled as skipped.
pub const WAITING_MAX: usize = 1_000;

/// A keyword of which more papers than this wait, and more than are shown, brings more than anybody reads.
const BROAD_WAITING_MIN: usize = 100;

/// Whether a section's keyword matches more than anybody reads.
pub fn is_broad(section: &SectionRecord) -> bool {
    section.n_waiting > BROAD_WAITING_MIN.max(section.papers.len())
}

/// How the papers of a section are ordered, after those that have waited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// By submission time, then by identifier, the latest first.
    #[default]
    Newest,
    /// By match (a hit in the title, how many keywords, a followed author), then as [`Order::Newest`].
    Strength,
}

/// How sections are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Papers per section; 0 is read as 1, so that a digest always moves on.
    pub papers_max: usize,
    /// Their order.
    pub order: Order,
    /// How much of each paper the mail shows, before the size governor.
    pub shown: Shown,
}

/// One paper that is pending for the subscriber.
#[derive(Debug, Clone)]
pub struct Pending<'a> {
    /// The paper, in the version that would be shown.
    pub paper: &'a Paper,
    /// All keywords that matched, as indexes into [`Input::keywords`], in any order.
    pub keywords: Vec<u16>,
    /// When the paper became pending for this subscriber.
    pub waiting_since: DateTime<Utc>,
    /// Whether a keyword was found in the title.
    pub in_title: bool,
    /// The version that the subscriber got before and when, for a replacement.
    pub replaces: Option<(u16, DateTime<Utc>)>,
    /// What the replacement changed, where the former text is known.
    pub changes: Option<Changes>,
}

/// Everything that decides what one digest holds.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The subscriber's keywords as headed, in the order configured.
    pub keywords: &'a [(String, Term)],
    /// The subscriber's pending papers, in any order, each identifier once.
    pub pending: &'a [Pending<'a>],
    /// When the subscriber's previous digest was frozen: what was pending by then has waited, and goes first.
    pub previous_at: Option<DateTime<Utc>>,
    /// How sections are filled.
    pub settings: Settings,
}

/// What [`assemble`] made of the pending papers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// The sections in the order of their keywords; none without a paper. Empty: there is nothing to say.
    pub sections: Vec<SectionRecord>,
    /// The oldest papers beyond [`WAITING_MAX`]: to be settled as skipped.
    pub skipped: Vec<ArxivId>,
    /// Withdrawn papers that the subscriber never got: not sent.
    pub withdrawn: Vec<ArxivId>,
    /// Papers that no present keyword stands for: a keyword was removed since they matched.
    pub unmatched: Vec<ArxivId>,
}

impl Draft {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }
}

/// Groups, orders and caps the pending papers.
///
/// Each paper stands once, in the section of its first keyword in configured order, with the others beside it. In a
/// section come first those that have waited from an earlier digest, then the rest, replacements last, each in the
/// order that the settings ask for. The same input in any order gives the same draft.
pub fn assemble(input: &Input<'_>) -> Draft {
    let mut draft = Draft::default();
    let mut by_keyword: Vec<Vec<Candidate<'_>>> = vec![Vec::new(); input.keywords.len()];
    for pending in input.pending {
        let candidate = Candidate::new(pending, input);
        if pending.paper.withdrawn && pending.replaces.is_none() {
            draft.withdrawn.push(pending.paper.id.clone());
        } else if let Some(section) = candidate
            .keywords
            .first()
            .and_then(|first| by_keyword.get_mut(usize::from(*first)))
        {
            section.push(candidate);
        } else {
            draft.unmatched.push(pending.paper.id.clone());
        }
    }
    for (keyword, candidates) in (0_u16..).zip(by_keyword) {
        if let Some(section) = fill(keyword, candidates, input.settings, &mut draft.skipped) {
            draft.sections.push(section);
        }
    }
    draft.withdrawn.sort_unstable();
    draft.unmatched.sort_unstable();
    draft
}

/// A pending paper with what its place depends on.
#[derive(Debug, Clone)]
struct Candidate<'a> {
    pending: &'a Pending<'a>,
    /// Sorted, without repetition, only those that exist.
    keywords: Vec<u16>,
    has_waited: bool,
    strength: (bool, usize, bool),
}

impl<'a> Candidate<'a> {
    fn new(pending: &'a Pending<'a>, input: &Input<'_>) -> Self {
        let mut keywords = pending.keywords.clone();
        keywords.retain(|index| usize::from(*index) < input.keywords.len());
        keywords.sort_unstable();
        keywords.dedup();
        let by_followed_author = keywords
            .iter()
            .any(|index| input.keywords[usize::from(*index)].1.kind == TermKind::Author);
        Self {
            has_waited: input
                .previous_at
                .is_some_and(|previous| pending.waiting_since <= previous),
            strength: (pending.in_title, keywords.len(), by_followed_author),
            keywords,
            pending,
        }
    }

    /// Newest first. A paper without a readable submission time comes after all others, so that one odd record
    /// cannot push them out.
    fn recency(&self) -> impl Ord + use<'a> {
        let paper = self.pending.paper;
        Reverse((paper.submitted, &paper.id))
    }
}

fn fill(
    keyword: u16,
    mut candidates: Vec<Candidate<'_>>,
    settings: Settings,
    skipped: &mut Vec<ArxivId>,
) -> Option<SectionRecord> {
    candidates.sort_by_cached_key(|candidate| {
        let strength = match settings.order {
            Order::Newest => Default::default(),
            Order::Strength => candidate.strength,
        };
        (
            candidate.pending.replaces.is_some(),
            !candidate.has_waited,
            Reverse(strength),
            candidate.recency(),
        )
    });
    let mut waiting = candidates.split_off(settings.papers_max.max(1).min(candidates.len()));
    if waiting.len() > WAITING_MAX {
        waiting.sort_by_cached_key(Candidate::recency);
    }
    let excess = waiting.split_off(WAITING_MAX.min(waiting.len()));
    skipped.extend(excess.iter().map(|candidate| candidate.pending.paper.id.clone()));
    (!candidates.is_empty()).then(|| SectionRecord {
        keyword,
        papers: candidates
            .iter()
            .map(|candidate| PaperRecord {
                id: candidate.pending.paper.id.clone(),
                version: candidate.pending.paper.version,
                shown: settings.shown,
                also: candidate.keywords[1..].to_vec(),
                replaces: candidate.pending.replaces,
                changes: candidate.pending.changes.clone(),
            })
            .collect(),
        n_waiting: waiting.len(),
        n_skipped: excess.len(),
    })
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone};

    use super::*;

    fn at(day: u32) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 2, 1, 12, 0, 0).unwrap() + TimeDelta::days(i64::from(day))
    }

    fn paper(number: u32, submitted: u32) -> Paper {
        Paper {
            id: ArxivId::from_parts(2026, 2, number).unwrap(),
            version: 1,
            title: format!("Paper {number}"),
            authors: Vec::new(),
            abstract_text: String::new(),
            submitted: Some(at(submitted)),
            updated: None,
            categories: vec!["cs.LG".to_owned()],
            comment: None,
            journal_ref: None,
            doi: None,
            withdrawn: false,
        }
    }

    fn pending<'a>(paper: &'a Paper, keywords: &[u16], since: u32) -> Pending<'a> {
        Pending {
            paper,
            keywords: keywords.to_vec(),
            waiting_since: at(since),
            in_title: false,
            replaces: None,
            changes: None,
        }
    }

    fn keywords(names: &[&str]) -> Vec<(String, Term)> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), Term::phrase(*name)))
            .collect()
    }

    const SETTINGS: Settings = Settings {
        papers_max: 100,
        order: Order::Newest,
        shown: Shown::Full,
    };

    fn assembled(names: &[&str], pending: &[Pending<'_>], settings: Settings) -> Draft {
        assemble(&Input {
            keywords: &keywords(names),
            pending,
            previous_at: Some(at(10)),
            settings,
        })
    }

    fn numbers(section: &SectionRecord) -> Vec<u32> {
        section.papers.iter().map(|paper| paper.id.number()).collect()
    }

    #[test]
    fn a_paper_stands_once_under_its_first_keyword_with_the_others_beside_it() {
        let (one, two) = (paper(1, 1), paper(2, 2));
        let draft = assembled(
            &["a", "b", "c"],
            &[pending(&one, &[2, 1, 2], 11), pending(&two, &[2], 11)],
            SETTINGS,
        );
        let shape: Vec<_> = draft.sections.iter().map(|s| (s.keyword, numbers(s))).collect();
        assert_eq!(shape, [(1, vec![1]), (2, vec![2])]);
        assert_eq!(draft.sections[0].papers[0].also, [2]);
        assert!(draft.sections[1].papers[0].also.is_empty());
    }

    #[test]
    fn what_has_waited_goes_first_then_the_newest_and_the_rest_waits() {
        let papers: Vec<Paper> = [(1, 1), (2, 12), (3, 3), (4, 13), (5, 13)]
            .iter()
            .map(|(number, day)| paper(*number, *day))
            .collect();
        let since = [5, 12, 9, 13, 13];
        let mut all: Vec<_> = papers
            .iter()
            .zip(since)
            .map(|(paper, since)| pending(paper, &[0], since))
            .collect();
        let settings = Settings {
            papers_max: 4,
            ..SETTINGS
        };
        let draft = assembled(&["a"], &all, settings);
        assert_eq!(numbers(&draft.sections[0]), [3, 1, 5, 4]);
        assert_eq!((draft.sections[0].n_waiting, draft.sections[0].n_skipped), (1, 0));
        all.reverse();
        assert_eq!(
            assembled(&["a"], &all, settings),
            draft,
            "the order of the input is of no account"
        );
    }

    #[test]
    fn strength_counts_title_hits_then_keywords_then_followed_authors() {
        let papers: Vec<Paper> = (1..=4).map(|number| paper(number, number)).collect();
        let mut all: Vec<_> = papers.iter().map(|paper| pending(paper, &[0], 11)).collect();
        all[0].in_title = true;
        all[1].keywords = vec![0, 1];
        all[2].keywords = vec![0, 2];
        let mut keywords = keywords(&["a", "b", "Jane Doe"]);
        keywords[2].1 = Term::author("Jane Doe");
        let draft = assemble(&Input {
            keywords: &keywords,
            pending: &all,
            previous_at: None,
            settings: Settings {
                order: Order::Strength,
                ..SETTINGS
            },
        });
        assert_eq!(numbers(&draft.sections[0]), [1, 3, 2, 4]);
    }

    #[test]
    fn beyond_a_thousand_waiting_the_oldest_are_skipped_and_named() {
        let papers: Vec<Paper> = (1..=1_105).map(|number| paper(number, number)).collect();
        let all: Vec<_> = papers.iter().map(|paper| pending(paper, &[0], 11)).collect();
        let draft = assembled(&["a"], &all, SETTINGS);
        let section = &draft.sections[0];
        assert_eq!(
            (section.papers.len(), section.n_waiting, section.n_skipped),
            (100, 1_000, 5)
        );
        let skipped: Vec<u32> = draft.skipped.iter().map(ArxivId::number).collect();
        assert_eq!(skipped, [5, 4, 3, 2, 1]);
    }

    #[test]
    fn withdrawn_papers_are_dropped_and_reported_unless_the_subscriber_got_them_before() {
        let mut withdrawn = paper(1, 1);
        withdrawn.withdrawn = true;
        let mut known = paper(2, 1);
        known.withdrawn = true;
        let mut all = vec![pending(&withdrawn, &[0], 11), pending(&known, &[0], 11)];
        all[1].replaces = Some((1, at(0)));
        let draft = assembled(&["a"], &all, SETTINGS);
        assert_eq!(draft.withdrawn, std::slice::from_ref(&withdrawn.id));
        assert_eq!(numbers(&draft.sections[0]), [2]);
        assert!(assembled(&["a"], &all[..1], SETTINGS).is_empty());
    }

    #[test]
    fn replacements_never_push_out_a_new_paper() {
        let (one, two) = (paper(1, 1), paper(2, 20));
        let mut all = vec![pending(&one, &[0], 11), pending(&two, &[0], 5)];
        all[1].replaces = Some((1, at(0)));
        let draft = assembled(
            &["a"],
            &all,
            Settings {
                papers_max: 1,
                ..SETTINGS
            },
        );
        assert_eq!(numbers(&draft.sections[0]), [1]);
    }

    #[test]
    fn nothing_pending_gives_nothing_and_a_removed_keyword_is_reported() {
        assert!(assembled(&["a"], &[], SETTINGS).is_empty());
        let one = paper(1, 1);
        let draft = assembled(&["a"], &[pending(&one, &[7], 11)], SETTINGS);
        assert!(draft.is_empty());
        assert_eq!(draft.unmatched, std::slice::from_ref(&one.id));
    }
}
