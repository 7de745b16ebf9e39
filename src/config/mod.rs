//! The configuration file: read once, checked whole, handed on as plain values.
//!
//! [`load`] reads the file and those that it includes, and reports every problem at once, each with its file, line,
//! key and mend. Nothing falls back to a default after a mistake, and no message quotes a secret.
//! [`Config::subscribers`] gives the people with everything filled in; [`diff`] says what a reload would change.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use chrono_tz::Tz;

use crate::{model::Term, schedule::Schedule};

mod arxiv;
mod category;
mod cut;
mod diff;
mod digest;
mod dkim;
mod environment;
mod include;
mod mail;
mod mailbox;
mod page;
mod people;
mod problems;
mod relay;
mod report;
mod resolve;
mod secret;
mod section;
mod source;
mod store;
mod terms;
mod units;
mod url;
mod web;

pub use arxiv::{Arxiv, Source};
pub use diff::{Changes, diff};
pub use digest::{Abstracts, Digest, Empty, Link, Order, Replacements};
pub use dkim::{Dkim, DkimKey};
pub use environment::Environment;
pub use mail::{Mail, Transport, Unconfirmed};
pub use mailbox::Mailbox;
pub use page::Page;
pub use people::{Group, Interests, Keyword, Subscriber};
pub use problems::{Place, Problem, Problems};
pub use relay::{Auth, Credentials, PASSWORD_CREDENTIAL, Relay, Relays, Tls};
pub use report::Report;
pub use resolve::Resolved;
pub use store::{DATABASE_CREDENTIAL, StoreConfig};
pub use web::Web;

use environment::Base;
use people::{People, Reading};
use problems::Sink;
use section::{Reader, Section};

/// When digests go out unless configured.
const SCHEDULE_DEFAULT: &str = "0 7 * * *";

/// Judges one keyword, query, author or exclusion: warnings for the operator, or why it cannot be used and how to
/// mend it.
pub type TermCheck<'c> = dyn Fn(&Term) -> Result<Vec<String>, String> + 'c;

/// A configuration without any problem, and what deserves a warning.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What can be used but was perhaps not meant, in the order of the lines.
    pub warnings: Vec<Problem>,
}

/// Everything that the configuration says, checked, with defaults filled in and paths made absolute.
#[derive(Debug, Clone)]
pub struct Config {
    /// Every file that was read, the main one first.
    pub files: Vec<PathBuf>,
    /// The folders in which `include` looks for files.
    pub include_dirs: Vec<PathBuf>,
    /// When digests go out, for subscribers that do not say.
    pub schedule: Schedule,
    /// The zone of that schedule.
    pub timezone: Tz,
    /// Where the state is kept.
    pub state_dir: PathBuf,
    /// Keywords of subscribers that name none.
    pub keywords: Vec<String>,
    /// `[arxiv]`.
    pub arxiv: Arxiv,
    /// `[mail]`.
    pub mail: Mail,
    /// `[digest]`.
    pub digest: Digest,
    /// `[web]`.
    pub web: Web,
    /// `[store]`.
    pub store: StoreConfig,
    /// `[report]`.
    pub report: Report,
    /// `[page]`.
    pub page: Page,
    /// The `[[keyword]]` tables.
    pub keyword: Vec<Keyword>,
    /// The `[[subscriber]]` tables.
    pub subscriber: Vec<Subscriber>,
    /// The `[[group]]` tables.
    pub group: Vec<Group>,
    /// Every setting outside the lists of people by its key, as it may be shown; secrets are not among them.
    pub settings: BTreeMap<String, String>,
}

/// Checks one mail address and brings its domain into ASCII form, for commands that take one.
///
/// # Errors
///
/// What is wrong with it and how to write it.
pub fn parse_address(text: &str) -> Result<String, String> {
    mailbox::parse_address(text).map_err(|wrong| format!("{}; {}", wrong.what, wrong.mend))
}

impl Config {
    /// Why arXiv itself must not be asked under the configured contact; `None` when it may.
    pub fn contact_problem(&self) -> Option<String> {
        self.arxiv.contact_problem()
    }
}

/// Reads the configuration file at `path` and the files that it includes.
///
/// `check` judges each keyword, query, author and exclusion in its place.
///
/// # Errors
///
/// Every problem that was found.
pub fn load(path: &Path, environment: &Environment, check: &TermCheck<'_>) -> Result<Loaded, Problems> {
    let sink = Sink::default();
    // Many people ask for the same, so each term is judged once.
    let judged: RefCell<HashMap<Term, Result<Vec<String>, String>>> = RefCell::default();
    let check = |term: &Term| {
        if let Some(judgement) = judged.borrow().get(term) {
            return judgement.clone();
        }
        let judgement = check(term);
        judged.borrow_mut().insert(term.clone(), judgement.clone());
        judgement
    };
    let config = read(path, environment, &check, &sink);
    let warnings = sink.into_result()?;
    match config {
        Some(config) => Ok(Loaded { config, warnings }),
        // Without a configuration there is at least one problem, so that this list is never shown empty.
        None => Err(Problems(warnings)),
    }
}

/// Where the configuration file at `path` keeps the state, also if the file is broken elsewhere or gone: the running
/// daemon, which has read it when it was whole, is reached there.
pub fn state_dir_of(path: &Path, environment: &Environment) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let source = source::Source::read(path, 0, &Sink::default());
    let named = source.and_then(|source| source.string_alone("state_dir"));
    Base::of(&absolute, environment).state_dir(named.as_deref(), environment)
}

fn read(path: &Path, environment: &Environment, check: &TermCheck<'_>, sink: &Sink) -> Option<Config> {
    let main = source::Source::read(path, 0, sink)?;
    let main_table = main.parse(sink)?;
    let settings = RefCell::default();
    let reader = Reader {
        source: &main,
        base: 0,
        sink,
        settings: Some(&settings),
    };
    let root = Section::root(reader, &main_table);
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let base = Base::of(&absolute, environment);

    let included = include::find_included(&root, &base.config_dir);
    let sources: Vec<source::Source> = (1..)
        .zip(&included.files)
        .filter_map(|(rank, file)| source::Source::read(file, rank, sink))
        .collect();
    let tables: Vec<_> = sources
        .iter()
        .filter_map(|source| Some((source, source.parse(sink)?)))
        .collect();
    // Lists of people have no place among the settings.
    let lists = |source, table| {
        let settings = None;
        let base = 0;
        let reader = Reader {
            source,
            base,
            sink,
            settings,
        };
        Section::root(reader, table)
    };
    let mut roots = vec![lists(&main, &main_table)];
    roots.extend(tables.iter().map(|(source, table)| lists(source, table)));

    let timezone = root
        .get("timezone")
        .and_then(|entry| people::read_zone(&entry))
        .unwrap_or(Tz::UTC);
    root.note("timezone", Some(format!("{:?}", timezone.name())));
    let schedule = root
        .get("schedule")
        .and_then(|entry| people::read_schedule(&entry, timezone));
    let schedule = match schedule {
        Some(schedule) => schedule,
        None => Schedule::in_zone(SCHEDULE_DEFAULT, timezone).ok()?,
    };
    root.note("schedule", Some(format!("{:?}", schedule.text())));
    let state_dir = base.state_dir(root.string("state_dir").as_deref(), environment);
    root.note("state_dir", Some(state_dir.display().to_string()));

    let keyword = people::read_keywords(&roots, sink, check);
    let keywords_entry = root.get("keywords");
    let keywords = root.strings("keywords").unwrap_or_default();
    if let Some(entry) = keywords_entry.as_ref().filter(|entry| entry.strings_len() == Some(0)) {
        entry.refuse("is an empty list", "name a keyword, or remove the key");
    }
    let reading = Reading {
        sink,
        check,
        schedule: &schedule,
        has_keywords: keywords_entry.is_some(),
        names: keyword.iter().map(|keyword| keyword.name.clone()).collect(),
        schedules: RefCell::default(),
        keywords: RefCell::default(),
    };
    let keywords = terms::read_terms(&keywords, &reading);
    let People { subscribers, groups } = people::read_people(&roots, &reading);
    let is_nobody_named = |root: &Section<'_>| {
        root.source().subscribers.is_empty() && root.get("subscriber").is_none() && root.get("group").is_none()
    };
    // A file that could not be read may name everyone.
    if included.is_whole && tables.len() == included.files.len() && roots.iter().all(is_nobody_named) {
        let mend = "add a [[subscriber]] table with email and keywords";
        sink.refuse(&main.place_of_file(), "has no subscriber", mend);
    }

    let context = mail::Context {
        base: &base,
        environment,
        state_dir: &state_dir,
        config_file: &absolute,
    };
    let config = Config {
        arxiv: Arxiv::read(root.section("arxiv")),
        mail: Mail::read(root.section("mail"), &context),
        digest: Digest::read(root.section("digest"), &base),
        web: Web::read(root.section("web")),
        store: StoreConfig::read(root.section("store"), &context),
        report: Report::read(root.section("report")),
        page: Page::read(root.section("page"), &base),
        files: std::iter::once(absolute.clone())
            .chain(included.files.iter().cloned())
            .collect(),
        include_dirs: included.dirs,
        timezone,
        state_dir,
        keywords,
        keyword,
        subscriber: subscribers,
        group: groups,
        schedule,
        settings: BTreeMap::new(),
    };
    finish(root, roots);
    warn_of_unused(&config, sink, &main.place_of_file());
    Some(Config {
        settings: settings.into_inner(),
        ..config
    })
}

/// Refuses what no section asked for.
fn finish(root: Section<'_>, lists: Vec<Section<'_>>) {
    for name in ["keyword", "subscriber", "group"] {
        root.ask(name);
    }
    root.finish(|key| match key {
        "smtp" | "email" | "mailer" | "relay" => Some("the relay is set in [mail]".to_owned()),
        "cron" | "time" => Some("write schedule = \"0 7 * * *\"".to_owned()),
        _ => people::table_hint(key),
    });
    for list in lists.into_iter().skip(1) {
        list.finish(|key| {
            let hint = people::table_hint(key).filter(|_| key != "subscriber");
            hint.or_else(|| {
                Some("an included file holds [[subscriber]], [[group]] and [[keyword]] tables only".to_owned())
            })
        });
    }
}

fn warn_of_unused(config: &Config, sink: &Sink, place: &Place) {
    for (name, n_people) in config.named_keywords() {
        if n_people == 0 {
            let what = format!("nobody refers to the [[keyword]] {name:?}");
            sink.warn(place, what, "name it in a subscriber's keywords, or remove it");
        }
    }
}

#[cfg(test)]
mod tests;
