//! The papers of an invented arXiv: announced on evenings, numbered as arXiv numbers, found as its search finds.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use paperround::arxiv::calendar::{self, Announcement};

/// How many papers nobody asked for each announcement holds: what the freshness canary sees.
const FILLERS: u32 = 3;
/// How far back there are such papers, in announcements.
const EVENINGS_KEPT: usize = 120;

/// One paper as arXiv gives it.
#[derive(Debug, Clone)]
pub(crate) struct Paper {
    pub(crate) id: String,
    pub(crate) version: u16,
    pub(crate) title: String,
    pub(crate) summary: String,
    pub(crate) submitted: Option<DateTime<Utc>>,
    pub(crate) updated: Option<DateTime<Utc>>,
    pub(crate) authors: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) comment: Option<String>,
    pub(crate) visible_from: DateTime<Utc>,
}

/// A paper with this title, by one author, in cs.LG, submitted in time for its announcement.
pub(crate) fn paper(title: &str) -> Paper {
    Paper {
        id: String::new(),
        version: 1,
        title: title.to_owned(),
        summary: "Plain text.".to_owned(),
        submitted: None,
        updated: None,
        authors: vec!["Ana Example".to_owned()],
        categories: vec!["cs.LG".to_owned()],
        comment: None,
        visible_from: DateTime::<Utc>::MIN_UTC,
    }
}

impl Paper {
    pub(crate) fn submitted(mut self, at: &str) -> Self {
        self.submitted = Some(instant(at));
        self
    }

    pub(crate) fn summary(mut self, text: &str) -> Self {
        self.summary = text.to_owned();
        self
    }

    pub(crate) fn by(mut self, authors: &[&str]) -> Self {
        self.authors = authors.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    pub(crate) fn in_categories(mut self, categories: &[&str]) -> Self {
        self.categories = categories.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    fn entry(&self, base: &str) -> String {
        let at =
            |at: Option<DateTime<Utc>>| at.map_or_else(String::new, |at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string());
        let published = at(self.submitted);
        let updated = at(self.updated.or(self.submitted));
        let id = format!("{}v{}", self.id, self.version);
        let authors: String = self
            .authors
            .iter()
            .map(|name| format!("    <author><name>{}</name></author>\n", escaped(name)))
            .collect();
        let categories: String = self
            .categories
            .iter()
            .map(|term| format!("    <category term=\"{term}\" scheme=\"http://arxiv.org/schemas/atom\"/>\n"))
            .collect();
        let comment = self.comment.as_ref().map_or_else(String::new, |text| {
            format!("    <arxiv:comment>{}</arxiv:comment>\n", escaped(text))
        });
        format!(
            "  <entry>\n    <id>http://arxiv.org/abs/{id}</id>\n    <title>{title}</title>\n    <updated>{updated}</updated>\n    \
             <link href=\"{base}/abs/{id}\" rel=\"alternate\" type=\"text/html\"/>\n    \
             <link href=\"{base}/pdf/{id}\" rel=\"related\" type=\"application/pdf\" title=\"pdf\"/>\n    \
             <summary>{summary}</summary>\n{categories}    <published>{published}</published>\n{comment}    \
             <arxiv:primary_category term=\"{primary}\"/>\n{authors}  </entry>\n",
            title = escaped(&self.title),
            summary = escaped(&self.summary),
            primary = self.categories.first().map_or("cs.LG", String::as_str),
        )
    }
}

/// A moment in RFC 3339; a bare day is its morning, 07:00 UTC.
pub(crate) fn instant(text: &str) -> DateTime<Utc> {
    let whole = if text.contains('T') {
        text.to_owned()
    } else {
        format!("{text}T07:00:00Z")
    };
    whole.parse().expect("a test writes its moments in RFC 3339")
}

/// All papers there are.
#[derive(Debug, Default)]
pub(crate) struct Collection {
    papers: Vec<Paper>,
    counters: HashMap<NaiveDate, u32>,
}

impl Collection {
    /// Adds the papers of an evening's announcement and returns their identifiers.
    pub(crate) fn announce(&mut self, evening: &str, papers: impl IntoIterator<Item = Paper>) -> Vec<String> {
        let evening: NaiveDate = evening.parse().expect("a test writes its evenings as YYYY-MM-DD");
        let noon_after = evening.and_hms_opt(12, 0, 0).expect("noon is a time").and_utc() + TimeDelta::days(1);
        let announcement = calendar::latest_announcement(noon_after);
        assert_eq!(announcement.evening, evening, "arXiv announces nothing that evening");
        let (from, _) = announcement.submission_window();
        let mut ids = Vec::new();
        for mut paper in papers {
            let counter = self.counters.entry(evening).or_insert(9);
            *counter += 1;
            let n = *counter;
            if paper.id.is_empty() {
                paper.id = number(evening, n);
            }
            paper
                .submitted
                .get_or_insert(from + TimeDelta::hours(1) + TimeDelta::minutes(i64::from(n)));
            paper.visible_from = announcement.visible_from() - TimeDelta::minutes(30);
            ids.push(paper.id.clone());
            self.papers.push(paper);
        }
        ids
    }

    /// Adds papers that are visible at once, submitted a little before `now`.
    pub(crate) fn add_at(&mut self, now: DateTime<Utc>, papers: impl IntoIterator<Item = Paper>) -> Vec<String> {
        let evening = calendar::latest_announcement(now).evening;
        let mut ids = Vec::new();
        for mut paper in papers {
            let counter = self.counters.entry(evening).or_insert(9);
            *counter += 1;
            paper.id = number(evening, *counter);
            paper.submitted.get_or_insert(now - TimeDelta::hours(30));
            paper.visible_from = DateTime::<Utc>::MIN_UTC;
            ids.push(paper.id.clone());
            self.papers.push(paper);
        }
        ids
    }

    /// Changes one paper.
    pub(crate) fn revise(&mut self, id: &str, change: impl FnOnce(&mut Paper)) {
        let paper = self.papers.iter_mut().find(|paper| paper.id == id);
        change(paper.expect("the paper was announced"));
    }

    /// What a search finds at `now`, newest submission first unless asked otherwise.
    pub(crate) fn find(&self, query: &str, is_ascending: bool, now: DateTime<Utc>) -> Result<Vec<Paper>, String> {
        let query = Query::parse(query)?;
        let fillers = fillers(now);
        let mut found: Vec<Paper> = self
            .papers
            .iter()
            .chain(&fillers)
            .filter(|paper| paper.visible_from <= now && query.fits(paper))
            .cloned()
            .collect();
        found.sort_by_key(|paper| std::cmp::Reverse((paper.submitted, paper.id.clone())));
        if is_ascending {
            found.reverse();
        }
        Ok(found)
    }

    /// The papers of an `id_list` that there are.
    pub(crate) fn by_identifier(&self, list: &str, now: DateTime<Utc>) -> Vec<Paper> {
        let ids: Vec<&str> = list.split(',').collect();
        let wanted = |paper: &&Paper| ids.contains(&paper.id.as_str()) && paper.visible_from <= now;
        self.papers.iter().filter(wanted).cloned().collect()
    }
}

fn number(evening: NaiveDate, n: u32) -> String {
    let day: u32 = evening.format("%d").to_string().parse().expect("a day is a number");
    format!("{}.{:05}", evening.format("%y%m"), day * 1000 + n)
}

/// The papers nobody asked for.
fn fillers(now: DateTime<Utc>) -> Vec<Paper> {
    let latest = calendar::latest_announcement(now);
    std::iter::successors(Some(latest), |announcement: &Announcement| {
        Some(announcement.previous())
    })
    .take(EVENINGS_KEPT)
    .filter(|announcement| !calendar::is_deferred(announcement.evening))
    .flat_map(|announcement| {
        (1..=FILLERS).map(move |n| Paper {
            id: number(announcement.evening, n),
            submitted: Some(
                announcement.submission_window().0 + TimeDelta::hours(2) + TimeDelta::minutes(i64::from(n)),
            ),
            visible_from: announcement.visible_from() - TimeDelta::minutes(30),
            ..paper("Something else altogether")
        })
    })
    .collect()
}

/// One page of an answer, in the form of 2026.
pub(crate) fn feed(query: &str, total: usize, start: usize, papers: &[Paper], base: &str) -> String {
    let entries: String = papers.iter().map(|paper| paper.entry(base)).collect();
    page(query, total, start, &entries, papers.len())
}

/// The same around entries that a test wrote itself.
pub(crate) fn page(query: &str, total: usize, start: usize, entries: &str, n_entries: usize) -> String {
    format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n\
         <feed xmlns:opensearch=\"http://a9.com/-/spec/opensearch/1.1/\" xmlns:arxiv=\"http://arxiv.org/schemas/atom\" xmlns=\"http://www.w3.org/2005/Atom\">\n  \
         <id>https://arxiv.org/api/invented</id>\n  <title>arXiv Query: search_query={}</title>\n  <updated>2026-02-10T00:00:00Z</updated>\n  \
         <opensearch:itemsPerPage>{n_entries}</opensearch:itemsPerPage>\n  <opensearch:totalResults>{total}</opensearch:totalResults>\n  \
         <opensearch:startIndex>{start}</opensearch:startIndex>\n{entries}</feed>\n",
        escaped(query)
    )
}

/// arXiv's error, which comes as an entry.
pub(crate) fn error_feed(summary: &str) -> String {
    let entry = format!(
        "  <entry>\n    <id>https://arxiv.org/api/errors#malformed</id>\n    <title>Error</title>\n    <updated>2026-03-10T00:00:00Z</updated>\n    \
         <summary>{}</summary>\n    <author><name>api core</name></author>\n  </entry>\n",
        escaped(summary)
    );
    page("", 1, 0, &entry, 1)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A search, as far as the program writes it.
#[derive(Debug)]
enum Query {
    And(Vec<Query>),
    Or(Vec<Query>),
    Field {
        name: String,
        words: Vec<String>,
        is_open: bool,
    },
    Category(String),
    Submitted {
        from: String,
        to: String,
    },
}

impl Query {
    /// Reads it; trouble with brackets is an error, as at arXiv.
    fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let query = Self::any(&mut rest)?;
        if rest.trim().is_empty() {
            Ok(query)
        } else {
            Err(format!("malformed query near {:?}", rest.trim()))
        }
    }

    fn any(rest: &mut &str) -> Result<Self, String> {
        let mut parts = vec![Self::all(rest)?];
        while let Some(after) = rest.trim_start().strip_prefix("OR ") {
            *rest = after;
            parts.push(Self::all(rest)?);
        }
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Self::Or(parts)
        })
    }

    fn all(rest: &mut &str) -> Result<Self, String> {
        let mut parts = vec![Self::one(rest)?];
        while let Some(after) = rest.trim_start().strip_prefix("AND ") {
            *rest = after;
            parts.push(Self::one(rest)?);
        }
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Self::And(parts)
        })
    }

    fn one(rest: &mut &str) -> Result<Self, String> {
        *rest = rest.trim_start();
        if let Some(inner) = rest.strip_prefix('(') {
            *rest = inner;
            let query = Self::any(rest)?;
            *rest = rest
                .trim_start()
                .strip_prefix(')')
                .ok_or("malformed query: a bracket is not closed")?;
            return Ok(query);
        }
        let (name, value) = rest
            .split_once(':')
            .ok_or_else(|| format!("malformed query near {rest:?}"))?;
        if name == "submittedDate" {
            let (range, after) = value
                .strip_prefix('[')
                .and_then(|inner| inner.split_once(']'))
                .ok_or("malformed query: a range is not closed")?;
            *rest = after;
            let (from, to) = range.split_once(" TO ").ok_or("malformed query: no range")?;
            return Ok(Self::Submitted {
                from: from.to_owned(),
                to: to.to_owned(),
            });
        }
        let (phrase, after) = match value.strip_prefix('"') {
            Some(inner) => inner.split_once('"').ok_or("malformed query: a phrase is not closed")?,
            None => value.split_at(value.find([' ', ')']).unwrap_or(value.len())),
        };
        *rest = after;
        if name == "cat" {
            return Ok(Self::Category(phrase.to_owned()));
        }
        if !["ti", "abs", "all", "au", "co", "jr"].contains(&name) {
            return Err(format!("malformed query: no field {name:?}"));
        }
        Ok(Self::Field {
            name: name.to_owned(),
            words: words(phrase),
            is_open: phrase.ends_with('*'),
        })
    }

    fn fits(&self, paper: &Paper) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.fits(paper)),
            Self::Or(parts) => parts.iter().any(|part| part.fits(paper)),
            Self::Category(pattern) => paper.categories.iter().any(|category| match pattern.strip_suffix('*') {
                Some(head) => category.starts_with(head),
                None => category == pattern,
            }),
            Self::Submitted { from, to } => paper.submitted.is_some_and(|at| {
                let minute = at.format("%Y%m%d%H%M").to_string();
                *from <= minute && minute <= *to
            }),
            Self::Field {
                name,
                words: wanted,
                is_open,
            } => {
                let text = match name.as_str() {
                    "ti" => paper.title.clone(),
                    "abs" => paper.summary.clone(),
                    "au" => paper.authors.join(" ; "),
                    "co" => paper.comment.clone().unwrap_or_default(),
                    _ => format!("{} ; {}", paper.title, paper.summary),
                };
                let found = words(&text);
                let same = |(a, b): (&String, &String)| a == b || (*is_open && a.starts_with(b.as_str()));
                wanted.is_empty()
                    || found
                        .windows(wanted.len())
                        .any(|window| window.iter().zip(wanted).all(same))
            }
        }
    }
}

/// Words as a stemming engine keeps them: lower case, without accents' trouble and without a plural's end.
fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| {
            word.strip_suffix('s')
                .filter(|stem| stem.len() > 2)
                .unwrap_or(word)
                .to_owned()
        })
        .collect()
}
