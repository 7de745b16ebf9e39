//! `try`: what a keyword or a query would have found.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;

use super::{Reply, json};
use crate::{
    app::{App, AppError},
    config::Config,
    fetch::{Look, LookError},
    matching::{self, Lexicon, Take},
    model::{ArxivId, Definition, Paper, Term},
    render::{line, marked_line},
    store::{Store, StoreError},
};

/// How many titles are shown.
const TITLES_SHOWN: usize = 15;
/// How many words are counted by name.
const WORDS_SHOWN: usize = 10;
/// The longest bar, in cells.
const BAR_CELLS: usize = 40;
/// The widest window, in days.
const DAYS_MAX: u32 = 366;
/// How many stored papers are read together.
const PAPERS_TOGETHER: usize = 1_000;
/// A keyword that brings more papers a day than this is read by nobody.
const BROAD_PER_DAY: u64 = 100;

/// What is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tried {
    definition: Definition,
    /// How it was read, in words.
    read_as: String,
}

#[derive(Debug, Serialize)]
struct Answer {
    query: String,
    read_as: String,
    warnings: Vec<String>,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    /// Papers that were looked at.
    n_papers: usize,
    /// Papers that arXiv has for the window but that did not fit into one answer.
    n_left_out: u64,
    n_requests: u64,
    n_hits: usize,
    /// Hits by what they were filed under only: their term fits, their categories do not.
    n_other_category: usize,
    n_withdrawn: usize,
    /// Of the hits, those whose primary category none of the asked categories fits.
    n_cross_lists: usize,
    /// Per day of submission (UTC), every day of the window.
    per_day: Vec<(NaiveDate, usize)>,
    /// Per primary category, most first.
    per_category: Vec<(String, usize)>,
    /// The words that matched, as written in the papers, with the number of papers each brought; most first.
    words: Vec<(String, usize)>,
    sample: Vec<Hit>,
}

#[derive(Debug, Serialize)]
struct Hit {
    paper: ArxivId,
    submitted: Option<DateTime<Utc>>,
    title: String,
    /// Words that matched in the abstract, where none did in the title.
    in_abstract: Option<String>,
}

/// What `try` was told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub query: &'a str,
    pub is_query: bool,
    pub days: u32,
    pub stored: bool,
    pub bold: bool,
    pub as_json: bool,
}

pub(super) async fn command(app: &App, asked: Asked<'_>) -> Result<Reply, AppError> {
    if asked.days == 0 || asked.days > DAYS_MAX {
        return Err(AppError::Usage(format!("--days takes 1 to {DAYS_MAX}")));
    }
    let tried = tried(&app.config, asked.query, asked.is_query);
    let warnings = matching::validate(&tried.definition.term)
        .map_err(|error| AppError::Usage(error.to_string()))?
        .iter()
        .map(ToString::to_string)
        .collect();
    let to = app.clock.now();
    let from = to - TimeDelta::days(i64::from(asked.days));
    let look = if asked.stored {
        Look {
            papers: stored_papers(&*app.store, from).await?,
            ..Look::default()
        }
    } else {
        app.run
            .fetcher
            .look(&tried.definition.term, &tried.definition.categories, from, to)
            .await
            .map_err(|error| match error {
                LookError::Term(why) => AppError::Usage(why),
                other => AppError::Other(anyhow::anyhow!("{other}; --stored looks at what is stored")),
            })?
    };
    let n_left_out = look.n_total.saturating_sub(look.papers.len() as u64);
    // An answer that was too small holds the newest, so what is counted per day counts from the oldest of them.
    let oldest = look.papers.iter().filter_map(|paper| paper.submitted).min();
    let from = oldest.filter(|_| n_left_out > 0).unwrap_or(from).max(from);
    let marks = match (asked.as_json, asked.bold) {
        (true, _) => ("", ""),
        (false, true) => ("\x1b[1m", "\x1b[0m"),
        (false, false) => ("*", "*"),
    };
    let mut answer = judge(&tried, &look.papers, (from, to), marks);
    answer.query = asked.query.to_owned();
    answer.warnings = warnings;
    answer.n_left_out = n_left_out;
    answer.n_requests = look.n_requests;
    match look.unsearchable {
        Some(why) => answer.warnings.push(format!(
            "{why}; here it was looked for among all papers of the time, as many as one answer of arXiv holds"
        )),
        None => answer.warnings.extend(broad(&answer, asked.days)),
    }
    Ok(Reply::done(if asked.as_json {
        json(&answer)?
    } else {
        in_words(&answer)
    }))
}

/// Whether the keyword brings more than anybody reads, counting what did not fit into arXiv's one answer.
fn broad(answer: &Answer, days: u32) -> Option<String> {
    let per_day = (answer.n_hits as u64 + answer.n_left_out) / u64::from(days);
    (per_day > BROAD_PER_DAY).then(|| {
        format!(
            "that is about {per_day} papers a day, more than anybody reads, and more than a digest shows of one keyword; \
             a longer phrase brings less, and so does a query with ti:, which looks into titles only"
        )
    })
}

/// `--query` reads the text by the grammar; else it is the name of a `[[keyword]]`, else a plain keyword.
fn tried(config: &Config, text: &str, is_query: bool) -> Tried {
    if is_query {
        return Tried {
            definition: Definition::unrestricted(Term::query(text)),
            read_as: "a query".to_owned(),
        };
    }
    match config.keyword.iter().find(|keyword| keyword.name == text) {
        Some(keyword) => {
            let mut definition = Definition::unrestricted(keyword.term.clone());
            if !keyword.categories.is_empty() {
                definition.categories.push(keyword.categories.clone());
            }
            definition.exclude = keyword.exclude.iter().map(Term::phrase).collect();
            Tried {
                definition,
                read_as: format!("the [[keyword]] of this name: {}", keyword.term.text),
            }
        }
        None => Tried {
            definition: Definition::unrestricted(Term::phrase(text)),
            read_as: "a plain keyword".to_owned(),
        },
    }
}

async fn stored_papers(store: &dyn Store, from: DateTime<Utc>) -> Result<Vec<Paper>, StoreError> {
    let mut papers = Vec::new();
    let mut below = None;
    loop {
        let page = store.newest_papers(below.as_ref(), PAPERS_TOGETHER).await?;
        let Some(last) = page.last() else { return Ok(papers) };
        below = Some(last.paper.id.clone());
        papers.extend(
            page.into_iter()
                .map(|stored| stored.paper)
                .filter(|paper| paper.submitted.is_some_and(|at| at >= from)),
        );
    }
}

fn judge(tried: &Tried, papers: &[Paper], (from, to): (DateTime<Utc>, DateTime<Utc>), marks: (&str, &str)) -> Answer {
    let definition = &tried.definition;
    let (lexicon, _) = Lexicon::new([definition]);
    let mut per_day: BTreeMap<NaiveDate, usize> = from
        .date_naive()
        .iter_days()
        .take_while(|day| *day <= to.date_naive())
        .map(|day| (day, 0))
        .collect();
    let mut per_category: HashMap<String, usize> = HashMap::new();
    let mut words: HashMap<String, usize> = HashMap::new();
    let mut answer = Answer {
        query: String::new(),
        read_as: tried.read_as.clone(),
        warnings: Vec::new(),
        from,
        to,
        n_papers: papers.len(),
        n_left_out: 0,
        n_requests: 0,
        n_hits: 0,
        n_other_category: 0,
        n_withdrawn: 0,
        n_cross_lists: 0,
        per_day: Vec::new(),
        per_category: Vec::new(),
        words: Vec::new(),
        sample: Vec::new(),
    };
    for paper in papers {
        let reading = lexicon.read(paper);
        match reading.take(definition) {
            Take::Accepted => {}
            Take::OtherCategory => {
                answer.n_other_category += 1;
                continue;
            }
            Take::Excluded | Take::No => continue,
        }
        if paper.withdrawn {
            answer.n_withdrawn += 1;
            continue;
        }
        answer.n_hits += 1;
        answer.n_cross_lists += usize::from(is_cross_list(definition, paper));
        if let Some(day) = paper.submitted.map(|at| at.date_naive()) {
            *per_day.entry(day).or_default() += 1;
        }
        let category = paper.primary_category().unwrap_or("(none)");
        *per_category.entry(line(category)).or_default() += 1;
        let Some(found) = reading.found(&definition.term) else {
            continue;
        };
        for word in matched_words(paper, found) {
            *words.entry(word).or_default() += 1;
        }
        if answer.sample.len() < TITLES_SHOWN {
            let in_abstract = found.title.is_empty().then(|| {
                let range = found.abstract_text.first()?.clone();
                Some(line(paper.abstract_text.get(range)?))
            });
            answer.sample.push(Hit {
                paper: paper.id.clone(),
                submitted: paper.submitted,
                title: marked_line(&paper.title, &found.title, marks.0, marks.1),
                in_abstract: in_abstract.flatten(),
            });
        }
    }
    answer.per_day = per_day.into_iter().collect();
    answer.per_category = most_first(per_category, WORDS_SHOWN);
    answer.words = most_first(words, WORDS_SHOWN);
    answer
}

/// Whether the paper comes in by a cross-list: by what was asked for, or, where every category is right, because it
/// has further categories than its primary one.
fn is_cross_list(definition: &Definition, paper: &Paper) -> bool {
    if definition.categories.is_empty() {
        return !paper.cross_lists().is_empty();
    }
    let primary_only = Definition {
        cross_lists: false,
        ..definition.clone()
    };
    !primary_only.admits_categories(&paper.categories)
}

/// The distinct words that matched in one paper, as it writes them but for capitals at the beginning of words.
fn matched_words(paper: &Paper, found: &matching::Match) -> Vec<String> {
    let texts = [
        (paper.title.as_str(), &found.title),
        (paper.abstract_text.as_str(), &found.abstract_text),
        (paper.comment.as_deref().unwrap_or_default(), &found.comment),
        (paper.journal_ref.as_deref().unwrap_or_default(), &found.journal_ref),
    ];
    let mut words: Vec<String> = texts
        .into_iter()
        .flat_map(|(text, ranges)| ranges.iter().filter_map(move |range| text.get(range.clone())))
        .map(spelling)
        .chain(
            found
                .authors
                .iter()
                .filter_map(|index| Some(line(&paper.authors.get(*index)?.name))),
        )
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// `Neural Architecture Search` and `neural architecture search` count as one, `DARTS` and `darts` do not.
fn spelling(words: &str) -> String {
    let is_title_case = |word: &&str| {
        let mut letters = word.chars().filter(|c| c.is_alphabetic());
        letters.next().is_some() && letters.all(char::is_lowercase)
    };
    line(words)
        .split(' ')
        .map(|word| {
            if is_title_case(&word) {
                word.to_lowercase()
            } else {
                word.to_owned()
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn most_first(counts: HashMap<String, usize>, limit: usize) -> Vec<(String, usize)> {
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(limit);
    counts
}

fn in_words(answer: &Answer) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _infallible = write_words(&mut text, answer);
    text
}

fn write_words(text: &mut String, answer: &Answer) -> std::fmt::Result {
    writeln!(text, "{}, read as {}", line(&answer.query), line(&answer.read_as))?;
    for warning in &answer.warnings {
        writeln!(text, "note: {warning}")?;
    }
    let n_days = (answer.to - answer.from).num_days();
    let place = if answer.n_requests > 0 {
        "that arXiv's search gave"
    } else {
        "in the store"
    };
    writeln!(
        text,
        "{} of {} papers {place}, submitted {} to {}; {:.1} a day",
        count(answer.n_hits, "hit"),
        answer.n_papers,
        answer.from.format("%F"),
        answer.to.format("%F"),
        answer.n_hits as f64 / n_days.max(1) as f64,
    )?;
    if answer.n_left_out > 0 {
        writeln!(
            text,
            "{} more did not fit into one answer: these are the newest; a smaller --days shows all",
            answer.n_left_out
        )?;
    }
    if answer.n_other_category > 0 {
        writeln!(text, "{} more fit but for their categories", answer.n_other_category)?;
    }
    if answer.n_withdrawn > 0 {
        writeln!(text, "{} more fit but are withdrawn", answer.n_withdrawn)?;
    }
    if answer.n_hits == 0 {
        return Ok(());
    }
    writeln!(
        text,
        "cross-listed: {} of {} ({} %)\n",
        answer.n_cross_lists,
        answer.n_hits,
        answer.n_cross_lists * 100 / answer.n_hits
    )?;
    let most = answer.per_day.iter().map(|(_, n)| *n).max().unwrap_or(0);
    for (day, n) in &answer.per_day {
        writeln!(text, "{} {:>4} {}", day.format("%a %F"), n, bar(*n, most))?;
    }
    writeln!(text, "\nmatched by")?;
    for (word, n) in &answer.words {
        writeln!(text, "{n:>5}  {word}")?;
    }
    writeln!(text, "\nprimary categories")?;
    for (category, n) in &answer.per_category {
        writeln!(text, "{n:>5}  {category}")?;
    }
    writeln!(
        text,
        "\n{}",
        if answer.n_hits > answer.sample.len() {
            "the newest"
        } else {
            "all"
        }
    )?;
    for hit in &answer.sample {
        write!(text, "{:<12} {}", hit.paper.to_string(), hit.title)?;
        match &hit.in_abstract {
            Some(words) => writeln!(text, "  (in the abstract: {words})")?,
            None => writeln!(text)?,
        }
    }
    Ok(())
}

/// A bar whose length is to `n` as the longest is to `most`; anything above 0 is seen.
fn bar(n: usize, most: usize) -> String {
    if n == 0 || most == 0 {
        return String::new();
    }
    "█".repeat((n * BAR_CELLS).div_ceil(most.max(BAR_CELLS)))
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::fixture::paper;

    fn at(day: u32) -> DateTime<Utc> {
        NaiveDate::from_ymd_opt(2026, 2, day)
            .unwrap()
            .and_hms_opt(7, 0, 0)
            .unwrap()
            .and_utc()
    }

    fn plain(text: &str) -> Tried {
        Tried {
            definition: Definition::unrestricted(Term::phrase(text)),
            read_as: "a plain keyword".to_owned(),
        }
    }

    fn submitted(day: u32, paper: Paper) -> Paper {
        Paper {
            submitted: Some(at(day)),
            ..paper
        }
    }

    #[test]
    fn hits_are_counted_by_day_word_and_category() {
        let papers = [
            submitted(3, paper("DARTS for all", "")),
            submitted(3, paper("A survey", "On DARTS and more DARTS.")),
            submitted(1, paper("The game of darts", "")),
            Paper {
                withdrawn: true,
                ..submitted(2, paper("DARTS, withdrawn", ""))
            },
        ];
        let answer = judge(&plain("DARTS"), &papers, (at(1), at(4)), ("*", "*"));
        assert_eq!((answer.n_papers, answer.n_hits, answer.n_withdrawn), (4, 2, 1));
        let per_day: Vec<usize> = answer.per_day.iter().map(|(_, n)| *n).collect();
        assert_eq!(per_day, [0, 0, 2, 0]);
        assert_eq!(answer.words, [("DARTS".to_owned(), 2)]);
        assert_eq!(answer.n_cross_lists, 2);
        assert_eq!(answer.sample[0].title, "*DARTS* for all");
        assert_eq!(answer.sample[1].in_abstract.as_deref(), Some("DARTS"));
        let text = in_words(&answer);
        assert!(text.contains("2 hits of 4 papers in the store"), "{text}");
        assert!(text.contains("Tue 2026-02-03    2 ██\n"), "{text}");
    }

    #[test]
    fn a_cross_list_is_what_only_a_further_category_brings_in() {
        let mut tried = plain("graph");
        tried.definition.categories = vec![vec!["stat.*".to_owned()]];
        let answer = judge(&tried, &[submitted(2, paper("Graph", ""))], (at(1), at(3)), ("", ""));
        assert_eq!((answer.n_hits, answer.n_cross_lists), (1, 1));
        tried.definition.categories = vec![vec!["cs.LG".to_owned()]];
        let answer = judge(&tried, &[submitted(2, paper("Graph", ""))], (at(1), at(3)), ("", ""));
        assert_eq!((answer.n_hits, answer.n_cross_lists), (1, 0));
        tried.definition.categories = vec![vec!["hep-th".to_owned()]];
        let answer = judge(&tried, &[submitted(2, paper("Graph", ""))], (at(1), at(3)), ("", ""));
        assert_eq!((answer.n_hits, answer.n_other_category), (0, 1));
    }

    #[test]
    fn words_differ_by_capitals_inside_only() {
        let check = |words: &str, expected: &str| assert_eq!(spelling(words), expected);
        check("Neural Architecture\nSearch", "neural architecture search");
        check("DARTS", "DARTS");
        check("GNNs", "GNNs");
        check("A", "a");
    }

    #[test]
    fn a_title_brings_nothing_to_the_terminal_but_its_text() {
        let hostile = paper("Graph \x1b[31mred\x07\u{202e}", "");
        let answer = judge(&plain("graph"), &[submitted(2, hostile)], (at(1), at(3)), ("*", "*"));
        let text = in_words(&answer);
        assert!(!text.contains(['\x1b', '\x07', '\u{202e}']), "{text:?}");
        assert!(text.contains("*Graph*"), "{text}");
    }

    #[test]
    fn bars_are_in_proportion_and_every_hit_is_seen() {
        let check = |n, most, cells| assert_eq!(bar(n, most).chars().count(), cells, "{n} of {most}");
        check(0, 10, 0);
        check(3, 10, 3);
        check(400, 400, BAR_CELLS);
        check(1, 400, 1);
        check(0, 0, 0);
    }
}
