//! The sentences of a mail around its papers.

use serde::Serialize;

use super::{
    cards::Cuts,
    clean::{clip, fitting, isolate, line},
    view::{KEYWORD_CHARS_MAX, TAG_CHARS_MAX},
    words::{Days, count, list, thousands},
};
use crate::{
    digest,
    model::{CoverageNote, DigestKind, DigestRecord, SectionRecord, Silence},
};

/// The length that the built-in subjects keep to, in characters.
const SUBJECT_CHARS_MAX: usize = 60;
/// The longest reason for an incomplete keyword, in characters.
const WHY_CHARS_MAX: usize = 160;
/// Bounds of lists, in entries; the rest is counted.
const STRIP_MAX: usize = 12;
const KEYWORDS_MAX: usize = 40;
const INCOMPLETE_MAX: usize = 10;
const BROAD_MAX: usize = 3;

/// One entry of the line of counts; joined so that it does not break inside.
#[derive(Debug, Serialize)]
pub(super) struct Strip {
    pub(super) n: String,
    pub(super) label: String,
    pub(super) is_alarm: bool,
    pub(super) is_short: bool,
}

pub(super) fn headline(kind: DigestKind, n_new: usize, n_versions: usize) -> String {
    match kind {
        DigestKind::Welcome => "Welcome".to_owned(),
        DigestKind::Quiet => "No new papers".to_owned(),
        DigestKind::Digest if n_new == 0 && n_versions > 0 => count(n_versions, "new version"),
        DigestKind::Digest => count(n_new, "new paper"),
    }
}

/// The headline and as many keywords as fit, those with the most papers first.
pub(super) fn subject(record: &DigestRecord, headline: &str) -> String {
    let n_incomplete = record.coverage.incomplete.len();
    if record.kind == DigestKind::Quiet && n_incomplete > 0 {
        // Silence that may have a cause must not read like a quiet week.
        let verb = if n_incomplete == 1 { "is" } else { "are" };
        return line(&format!(
            "{headline}: {} {verb} incomplete",
            count(n_incomplete, "keyword")
        ));
    }
    let mut names: Vec<(usize, String)> = match record.kind {
        DigestKind::Digest => record
            .sections
            .iter()
            .filter(|section| !section.papers.is_empty())
            .filter_map(|section| {
                let (heading, _) = record.keywords.get(usize::from(section.keyword))?;
                Some((section.papers.len(), clip(heading, KEYWORD_CHARS_MAX)))
            })
            .collect(),
        DigestKind::Quiet | DigestKind::Welcome => record
            .keywords
            .iter()
            .map(|(heading, _)| (0, clip(heading, KEYWORD_CHARS_MAX)))
            .collect(),
    };
    names.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    let mut subject = line(headline);
    for (index, (_, name)) in names.iter().enumerate() {
        let separator = if index == 0 { ": " } else { ", " };
        let n_left = SUBJECT_CHARS_MAX.saturating_sub(subject.chars().count() + separator.len());
        if fitting(name, n_left) == name.len() {
            subject.push_str(separator);
            subject.push_str(name);
        } else {
            if index == 0 && n_left > 2 {
                subject.push_str(separator);
                subject.push_str(&clip(name, n_left));
            }
            break;
        }
    }
    subject
}

pub(super) fn strip(record: &DigestRecord, n_versions: usize) -> Vec<Strip> {
    let entry = |n: String, label: String, is_alarm: bool| Strip {
        is_short: label.chars().count() <= TAG_CHARS_MAX - 4,
        n,
        label,
        is_alarm,
    };
    let mut strip: Vec<Strip> = Vec::new();
    let sections: Vec<(usize, &SectionRecord)> = record
        .sections
        .iter()
        .map(|section| {
            let n_new = section.papers.iter().filter(|paper| paper.replaces.is_none()).count();
            (n_new, section)
        })
        .filter(|(n_new, _)| *n_new > 0)
        .collect();
    for (n, section) in sections.iter().take(STRIP_MAX) {
        let name = record
            .keywords
            .get(usize::from(section.keyword))
            .map_or("other", |(heading, _)| heading.as_str());
        strip.push(entry(thousands(*n), isolate(clip(name, KEYWORD_CHARS_MAX)), false));
    }
    let rest: usize = sections.iter().skip(STRIP_MAX).map(|(n, _)| n).sum();
    if rest > 0 {
        let n_more = sections.len() - STRIP_MAX;
        strip.push(entry(
            thousands(rest),
            format!("on {}", count(n_more, "further keyword")),
            false,
        ));
    }
    if n_versions > 0 {
        let label = if n_versions == 1 { "new version" } else { "new versions" };
        strip.push(entry(thousands(n_versions), label.to_owned(), false));
    }
    match record.coverage.incomplete.as_slice() {
        [] => {}
        few @ ([_] | [_, _] | [_, _, _]) => {
            for keyword in few {
                let name = isolate(clip(&keyword.keyword, TAG_CHARS_MAX));
                strip.push(entry("!".to_owned(), format!("{name} incomplete"), true));
            }
        }
        many => strip.push(entry(
            "!".to_owned(),
            format!("{} incomplete", count(many.len(), "keyword")),
            true,
        )),
    }
    strip
}

pub(super) fn paragraphs(record: &DigestRecord, has_papers: bool) -> Vec<String> {
    let keywords = || {
        let mut names: Vec<String> = record
            .keywords
            .iter()
            .take(KEYWORDS_MAX)
            .map(|(heading, _)| isolate(clip(heading, KEYWORD_CHARS_MAX)))
            .collect();
        if record.keywords.len() > KEYWORDS_MAX {
            names.push(format!("{} more", thousands(record.keywords.len() - KEYWORDS_MAX)));
        }
        list(&names)
    };
    match record.kind {
        DigestKind::Digest => Vec::new(),
        DigestKind::Quiet => vec![
            quiet_sentence(record.coverage.silence).to_owned(),
            format!("Your keywords: {}.", keywords()),
        ],
        DigestKind::Welcome => {
            let mut paragraphs = vec![
                format!("You are subscribed to: {}.", keywords()),
                "You get one mail with the new arXiv papers on them, each paper once, and none while there is nothing \
                 new. The line under the papers says what was covered."
                    .to_owned(),
            ];
            paragraphs.push("How to stop, to pause and to change keywords stands at the end of every mail.".to_owned());
            // A failed fetch must not look like a quiet week.
            paragraphs.push(match (has_papers, record.coverage.incomplete.as_slice()) {
                (true, _) => "This is what matched lately:".to_owned(),
                (false, []) => "Nothing has matched in the last days.".to_owned(),
                (false, [_, ..]) => "Nothing has matched so far, but not everything could be looked at yet.".to_owned(),
            });
            paragraphs
        }
    }
}

/// What a mail without papers says first: the four silences must not look alike.
fn quiet_sentence(silence: Option<Silence>) -> &'static str {
    match silence {
        Some(Silence::NoAnnouncement) => {
            "arXiv has made no announcement since the last mail. This one says only that the watch goes on."
        }
        Some(Silence::NotYet) => {
            "arXiv does not show its latest announcement yet. What it holds on your keywords comes in a later digest."
        }
        Some(Silence::FetchFailed) => {
            "Nothing new has been found, but not everything could be fetched. This mail says what is missing."
        }
        Some(Silence::NothingMatched) | None => {
            "Nothing new has matched your keywords since the last mail. This one says only that the watch goes on."
        }
    }
}

/// `Announcement of Tue 10 Feb; 3 of 3 keywords complete; 41 fetched, 12 new, 27 already sent, 2 excluded.`
pub(super) fn coverage(note: &CoverageNote, days: Days) -> String {
    let days = |last| match note.announced_from {
        Some(first) => format!("Announcements of {} to {}", days.evening(first), days.evening(last)),
        None => format!("Announcement of {}", days.evening(last)),
    };
    let announcement = match (note.announcement, note.current) {
        (Some(day), true) => days(day),
        (Some(day), false) => format!("{}, a later one has not been seen yet", days(day)),
        (None, _) => "No announcement has been seen for sure yet".to_owned(),
    };
    let silence = note.silence.map_or_else(String::new, |silence| {
        format!("; {}", silence.in_words("the last mail"))
    });
    format!(
        "{announcement}; {} of {} complete; {} fetched, {} new, {} already sent, {} excluded{silence}.",
        thousands(note.n_complete),
        count(note.n_keywords, "keyword"),
        thousands(note.n_fetched),
        thousands(note.n_new),
        thousands(note.n_already_sent),
        thousands(note.n_excluded),
    )
}

/// The first visible line of a mail without papers: a failed fetch must not look like a quiet day.
pub(super) fn quiet_lead(note: &CoverageNote) -> String {
    match note.incomplete.len() {
        0 => format!("{} watched, nothing new", count(note.n_keywords, "keyword")),
        1 => "Nothing new so far, but 1 keyword is incomplete".to_owned(),
        n => format!("Nothing new so far, but {} are incomplete", count(n, "keyword")),
    }
}

pub(super) fn alarms(note: &CoverageNote, days: Days) -> Vec<String> {
    let mut alarms: Vec<String> = note
        .incomplete
        .iter()
        .take(INCOMPLETE_MAX)
        .map(|incomplete| {
            format!(
                "Not complete: {}, since {}: {}.",
                isolate(clip(&incomplete.keyword, KEYWORD_CHARS_MAX)),
                days.minute(incomplete.since),
                clip(incomplete.why.trim_end_matches('.'), WHY_CHARS_MAX),
            )
        })
        .collect();
    let n_more = note.incomplete.len().saturating_sub(INCOMPLETE_MAX);
    if n_more > 0 {
        alarms.push(format!("Not complete: {} besides.", count(n_more, "keyword")));
    }
    alarms
}

pub(super) fn notes(record: &DigestRecord, cuts: &Cuts, n_new: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if !record.coverage.incomplete.is_empty() {
        notes.push("What is missing is asked for again and comes in a later digest.".to_owned());
    }
    let mut cut = Vec::new();
    if cuts.n_title_only > 0 {
        let verb = if cuts.n_title_only == 1 { "is" } else { "are" };
        cut.push(if cuts.n_title_only == n_new {
            format!(
                "{} {verb} shown by title only",
                if n_new == 1 {
                    "the paper".to_owned()
                } else {
                    format!("all {}", count(n_new, "paper"))
                }
            )
        } else {
            format!(
                "{} of the {} {verb} shown by title only",
                thousands(cuts.n_title_only),
                thousands(n_new)
            )
        });
    }
    if cuts.n_shortened > 0 {
        cut.push(format!(
            "{} {} shortened",
            count(cuts.n_shortened, "abstract"),
            if cuts.n_shortened == 1 { "is" } else { "are" }
        ));
    }
    if !cut.is_empty() {
        notes.push(format!("To keep this mail small, {}.", list(&cut)));
    }
    let n_waiting: usize = record.sections.iter().map(|section| section.n_waiting).sum();
    if n_waiting > 0 {
        let verb = if n_waiting == 1 { "waits" } else { "wait" };
        notes.push(format!(
            "{} {verb} for the next digest.",
            count(n_waiting, "more paper")
        ));
    }
    let broad: Vec<String> = record
        .sections
        .iter()
        .filter(|section| digest::is_broad(section))
        .filter_map(|section| record.keywords.get(usize::from(section.keyword)))
        .take(BROAD_MAX)
        .map(|(heading, _)| isolate(clip(heading, KEYWORD_CHARS_MAX)))
        .collect();
    if !broad.is_empty() {
        notes.push(format!(
            "More waits on {} than a digest shows: a longer phrase, or a query that looks into titles only, brings less.",
            list(&broad)
        ));
    }
    let n_skipped: usize = record.sections.iter().map(|section| section.n_skipped).sum();
    if n_skipped > 0 {
        notes.push(format!(
            "{} will not be sent, the oldest of more than 1,000 that waited; a narrower keyword helps.",
            count(n_skipped, "paper")
        ));
    }
    notes
}
