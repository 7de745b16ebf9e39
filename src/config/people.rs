//! `[[keyword]]`, `[[subscriber]]` and `[[group]]`: who gets what.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use toml::value::{Datetime, Offset};

use crate::{
    model::{Term, TermKind},
    schedule::{Schedule, parse_zone, start_of_day},
};

use super::{
    TermCheck,
    mailbox::{Mailbox, check_name},
    problems::{Place, Sink, nearest, quote},
    section::{Entry, Reader, Section},
    terms::{
        PHRASE_CHARS_MAX, QUERY_CHARS_MAX, check_term, checked, checked_text, read_categories, read_list, read_terms,
    },
};

/// The longest subscriber id, in characters.
const ID_CHARS_MAX: usize = 100;

/// A named query; subscribers refer to it by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyword {
    /// The name, which heads its section in the digest.
    pub name: String,
    /// What it looks for: its query, or its name as a phrase where it has none, and what its authors write.
    pub term: Term,
    /// Category patterns of which one must fit; none: any category.
    pub categories: Vec<String>,
    /// Phrases that keep a paper out.
    pub exclude: Vec<String>,
}

/// What a subscriber or a group asked for, with defaults filled in where they do not depend on others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interests {
    /// Plain phrases and names of `[[keyword]]` tables; `None`: those at the top of the file.
    pub keywords: Option<Vec<Arc<str>>>,
    /// Phrases that keep a paper out.
    pub exclude: Vec<String>,
    /// Category patterns of which one must fit; none: any category.
    pub categories: Vec<String>,
    /// Authors to follow.
    pub authors: Vec<String>,
    /// When digests go out, and in which zone.
    pub schedule: Schedule,
    /// No digest goes out before this moment.
    pub paused_until: Option<DateTime<Utc>>,
    /// Whether the address is a list's: no one-click, no token links.
    pub shared: bool,
    /// Whether categories other than the primary one count; `None`: as `[digest]` says.
    pub cross_lists: Option<bool>,
}

/// One person or list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// The lasting name, if one is configured.
    pub id: Option<String>,
    /// Name and address.
    pub mailbox: Mailbox,
    /// What they asked for.
    pub interests: Interests,
}

/// Several people who asked for the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Names and addresses.
    pub mailboxes: Vec<Mailbox>,
    /// What they asked for.
    pub interests: Interests,
}

/// Everything that reading people needs to know besides their tables.
pub(super) struct Reading<'a> {
    pub(super) sink: &'a Sink,
    pub(super) check: &'a TermCheck<'a>,
    pub(super) schedule: &'a Schedule,
    /// Whether the top of the file names keywords for subscribers that name none.
    pub(super) has_keywords: bool,
    /// The names of the `[[keyword]]` tables.
    pub(super) names: Vec<String>,
    /// Schedules read before, by their text: many people have the same.
    pub(super) schedules: RefCell<HashMap<String, Schedule>>,
    /// Keywords read before, for the same reason.
    pub(super) keywords: RefCell<HashSet<Arc<str>>>,
}

impl Reading<'_> {
    fn shared(&self, keyword: String) -> Arc<str> {
        let mut known = self.keywords.borrow_mut();
        if let Some(known) = known.get(keyword.as_str()) {
            return Arc::clone(known);
        }
        let keyword: Arc<str> = keyword.into();
        known.insert(Arc::clone(&keyword));
        keyword
    }

    fn schedule(&self, entry: &Entry<'_>, zone: Tz) -> Option<Schedule> {
        let text = entry.string()?;
        let known = self.schedules.borrow().get(&text).map(|known| known.with_zone(zone));
        if known.is_some() {
            return known;
        }
        let schedule = read_schedule(entry, zone)?;
        self.schedules.borrow_mut().insert(text, schedule.clone());
        Some(schedule)
    }
}

/// Reads every `[[keyword]]` table of the files.
pub(super) fn read_keywords(roots: &[Section<'_>], sink: &Sink, check: &TermCheck<'_>) -> Vec<Keyword> {
    let mut keywords = Vec::new();
    let mut seen: HashMap<String, Place> = HashMap::new();
    for table in roots.iter().flat_map(|root| root.tables("keyword")) {
        let place = table.place().clone();
        let Some(keyword) = read_keyword(table, sink, check) else {
            continue;
        };
        let first = seen.entry(keyword.name.to_lowercase()).or_insert_with(|| place.clone());
        if *first == place {
            keywords.push(keyword);
        } else {
            let what = format!(
                "{} is already the name of the keyword at {}:{}",
                quote(&keyword.name),
                first.file,
                first.line
            );
            sink.refuse(
                &place,
                what,
                "give each its own name; capitals alone do not tell names apart",
            );
        }
    }
    keywords
}

fn read_keyword(table: Section<'_>, sink: &Sink, check: &TermCheck<'_>) -> Option<Keyword> {
    let stemming = table.bool("stemming", false);
    let name_entry = table.get("name");
    let name = name_entry
        .as_ref()
        .and_then(|entry| Some((entry.string()?, entry.place.clone())));
    let name = name.and_then(|(text, place)| checked_text(&text, &place, PHRASE_CHARS_MAX, sink));
    if name_entry.is_none() {
        sink.refuse(
            &table.place_of("name"),
            "is missing",
            "subscribers refer to a [[keyword]] by its name",
        );
    }
    let query_entry = table.get("query");
    let query = query_entry.as_ref().and_then(|entry| {
        let text = checked_text(&entry.string()?, &entry.place, QUERY_CHARS_MAX, sink)?;
        Some((text, entry.place.clone()))
    });
    let categories = read_categories(&table);
    let exclude = read_list(&table.strings("exclude").unwrap_or_default(), sink, check, Term::phrase);
    let authors = read_list(&table.strings("authors").unwrap_or_default(), sink, check, Term::author);
    table.finish(|key| match key {
        "keywords" | "keyword" | "phrase" => Some("write query = '\"one phrase\" OR \"another\"'".to_owned()),
        _ => None,
    });
    let (name, name_place) = (name?, name_entry?.place);
    let (mut term, place) = match query {
        Some((query, place)) => (Term::query(query), place),
        None if query_entry.is_some() => return None,
        None => (Term::phrase(name.clone()), name_place),
    };
    term.stemming = stemming;
    // First as it is written, so that an error points into what was written.
    if (query_entry.is_some() || authors.is_empty()) && !check_term(&term, &place, sink, check) {
        return None;
    }
    if !authors.is_empty() {
        let query = query_entry.is_some().then_some(term.text.as_str());
        term.text = or_by(query, &authors);
        term.kind = TermKind::Query;
        if !check_term(&term, &place, sink, check) {
            return None;
        }
    }
    Some(Keyword {
        name,
        term,
        categories,
        exclude,
    })
}

/// The query that takes what a query does, and everything by any of these authors.
fn or_by(query: Option<&str>, authors: &[String]) -> String {
    let own = query.map(|query| format!("({query})"));
    let theirs = authors.iter().map(|name| format!("au:\"{}\"", name.replace('"', " ")));
    own.into_iter().chain(theirs).collect::<Vec<_>>().join(" OR ")
}

/// Everyone that the files subscribe.
#[derive(Debug, Default)]
pub(super) struct People {
    pub(super) subscribers: Vec<Subscriber>,
    pub(super) groups: Vec<Group>,
}

/// Reads every `[[subscriber]]` and `[[group]]` table of the files and refuses people who come twice.
pub(super) fn read_people(roots: &[Section<'_>], reading: &Reading<'_>) -> People {
    let mut people = People::default();
    let mut identities = Identities::default();
    for root in roots {
        let mut read = |table: Section<'_>| {
            let place = table.place().clone();
            if let Some(subscriber) = read_subscriber(table, reading) {
                let id = subscriber.id.as_deref();
                if identities.is_new(&subscriber.mailbox, id, &place, reading.sink) {
                    people.subscribers.push(subscriber);
                }
            }
        };
        root.tables("subscriber").into_iter().for_each(&mut read);
        let source = root.source();
        for range in &source.subscribers {
            let Some(parsed) = source.parse_subscriber(range, reading.sink) else {
                continue;
            };
            let reader = Reader {
                source,
                base: range.start,
                sink: reading.sink,
                settings: None,
            };
            Section::root(reader, &parsed)
                .tables("subscriber")
                .into_iter()
                .for_each(&mut read);
        }
        for table in root.tables("group") {
            let emails = table.get("emails").map(|entry| entry.strings());
            let mut mailboxes = Vec::new();
            for (text, place) in emails.iter().flatten() {
                let mailbox = checked(Mailbox::parse(text), place, reading.sink);
                mailboxes.extend(mailbox.filter(|mailbox| identities.is_new(mailbox, None, place, reading.sink)));
            }
            if emails.is_none_or(|emails| emails.is_empty()) {
                let what = "names nobody";
                reading
                    .sink
                    .refuse(&table.place_of("emails"), what, "write emails = [\"ana@example.org\"]");
            }
            let interests = read_interests(&table, reading);
            table.finish(|key| match key {
                "email" => Some("a group lists its people in emails".to_owned()),
                "id" | "name" => Some("a person with an id or a name needs a [[subscriber]] table".to_owned()),
                _ => None,
            });
            people.groups.push(Group { mailboxes, interests });
        }
    }
    people
}

fn read_subscriber(table: Section<'_>, reading: &Reading<'_>) -> Option<Subscriber> {
    let sink = reading.sink;
    let email = table.get("email");
    if email.is_none() {
        sink.refuse(
            &table.place_of("email"),
            "is missing",
            "write email = \"ana@example.org\"",
        );
    }
    let mailbox = email.and_then(|entry| checked(Mailbox::parse(&entry.string()?), &entry.place, sink));
    let name_entry = table.get("name");
    let name = name_entry
        .as_ref()
        .and_then(|entry| checked(check_name(&entry.string()?), &entry.place, sink).flatten());
    let id = table.get("id").and_then(|entry| {
        let id = checked_text(&entry.string()?, &entry.place, ID_CHARS_MAX, sink)?;
        Some(id)
    });
    let interests = read_interests(&table, reading);
    table.finish(|key| match key {
        "emails" => Some("several people with the same keywords are a [[group]]".to_owned()),
        "address" | "mail" | "to" => Some("write email".to_owned()),
        "query" => Some("a query stands in a [[keyword]] table of its own; name that in keywords".to_owned()),
        _ => None,
    });
    let mut mailbox = mailbox?;
    if let (Some(name), Some(entry)) = (name, name_entry) {
        if mailbox.name.as_ref().is_some_and(|other| *other != name) {
            entry.refuse("differs from the name in email", "give the name once");
        }
        mailbox.name = Some(name);
    }
    Some(Subscriber { id, mailbox, interests })
}

fn read_interests(table: &Section<'_>, reading: &Reading<'_>) -> Interests {
    let sink = reading.sink;
    let keywords_entry = table.get("keywords");
    let keywords = keywords_entry
        .as_ref()
        .map(|entry| read_terms(&entry.strings(), reading));
    let authors = table.strings("authors").unwrap_or_default();
    let authors = read_list(&authors, sink, reading.check, Term::author);
    let n_keywords = keywords.as_ref().map(Vec::len);
    if let Some(entry) = &keywords_entry
        && entry.strings_len() == Some(0)
        && authors.is_empty()
    {
        entry.refuse(
            "is an empty list",
            "name a keyword, or remove the key to use those at the top of the file",
        );
    }
    if n_keywords.is_none() && !reading.has_keywords && authors.is_empty() && table.get("authors").is_none() {
        sink.refuse(
            &table.place_of("keywords"),
            "is missing, and the top of the file names none either",
            "write keywords = [\"graph neural network\"]",
        );
    }
    let zone = table.get("timezone").and_then(|entry| read_zone(&entry));
    let zone = zone.unwrap_or_else(|| reading.schedule.zone());
    let schedule_entry = table.get("schedule");
    let schedule = schedule_entry.and_then(|entry| reading.schedule(&entry, zone));
    let schedule = schedule.unwrap_or_else(|| reading.schedule.with_zone(zone));
    let exclude = table.strings("exclude").unwrap_or_default();
    let keywords = keywords.map(|texts| texts.into_iter().map(|text| reading.shared(text)).collect());
    Interests {
        keywords,
        exclude: read_list(&exclude, sink, reading.check, Term::phrase),
        categories: read_categories(table),
        authors,
        paused_until: table
            .get("paused_until")
            .and_then(|entry| read_moment(&entry, schedule.zone())),
        schedule,
        shared: table.bool("shared", false),
        cross_lists: table.get("cross_lists").and_then(|entry| entry.bool()),
    }
}

/// A zone by its name.
pub(super) fn read_zone(entry: &Entry<'_>) -> Option<Tz> {
    let zone = parse_zone(&entry.string()?);
    zone.map_err(|error| entry.refuse(error.to_string(), "")).ok()
}

/// A schedule in a zone.
pub(super) fn read_schedule(entry: &Entry<'_>, zone: Tz) -> Option<Schedule> {
    let schedule = Schedule::in_zone(&entry.string()?, zone);
    schedule.map_err(|error| entry.refuse(error.to_string(), "")).ok()
}

/// A date, meaning its first moment in the zone, or a date and time, in the zone unless it has an offset.
fn read_moment(entry: &Entry<'_>, zone: Tz) -> Option<DateTime<Utc>> {
    let moment = entry.datetime().and_then(|datetime| moment(&datetime, zone));
    if moment.is_none() {
        entry.refuse(
            "is not a date",
            "write paused_until = 2026-12-24 or 2026-12-24T08:00:00, without quotes",
        );
    }
    moment
}

fn moment(datetime: &Datetime, zone: Tz) -> Option<DateTime<Utc>> {
    let date = datetime.date?;
    let date = NaiveDate::from_ymd_opt(i32::from(date.year), u32::from(date.month), u32::from(date.day))?;
    let Some(time) = datetime.time else {
        return start_of_day(date, zone);
    };
    let second = u32::from(time.second.unwrap_or(0));
    let time = NaiveTime::from_hms_opt(u32::from(time.hour), u32::from(time.minute), second)?;
    let civil = NaiveDateTime::new(date, time);
    match datetime.offset {
        Some(Offset::Z) => Some(civil.and_utc()),
        Some(Offset::Custom { minutes }) => Some(
            civil
                .checked_sub_signed(TimeDelta::minutes(i64::from(minutes)))?
                .and_utc(),
        ),
        // A time that the clocks skip counts from the first moment of its day: pausing a little less is harmless.
        None => match civil.and_local_timezone(zone).earliest() {
            Some(instant) => Some(instant.to_utc()),
            None => start_of_day(date, zone),
        },
    }
}

/// Who was seen where, by address and by id; capitals do not tell people apart.
#[derive(Default)]
struct Identities(HashMap<String, (Arc<str>, usize)>);

impl Identities {
    /// Remembers the person, or reports that they were there before.
    fn is_new(&mut self, mailbox: &Mailbox, id: Option<&str>, place: &Place, sink: &Sink) -> bool {
        let mut keys = vec![mailbox.key()];
        keys.extend(id.map(str::to_lowercase));
        keys.dedup();
        if let Some((key, (file, line))) = keys.iter().find_map(|key| Some((key, self.0.get(key)?))) {
            let what = format!("{} is already subscribed at {file}:{line}", quote(key));
            sink.refuse(
                place,
                what,
                "one person gets one digest: join the keywords in one table",
            );
            return false;
        }
        for key in keys {
            self.0.insert(key, (Arc::clone(&place.file), place.line));
        }
        true
    }
}

/// The hint for tables that other programs call otherwise.
pub(super) fn table_hint(key: &str) -> Option<String> {
    let names = [
        "subscriber",
        "subscription",
        "user",
        "recipient",
        "person",
        "people",
        "reader",
    ];
    let bare = key.to_lowercase();
    let bare = bare.trim_end_matches('s');
    if names.contains(&bare) || nearest(bare, &names[..2]).is_some() {
        return Some("each subscriber is a [[subscriber]] table".to_owned());
    }
    None
}
