//! The whole main job on one machine, without a network and without an account.
//!
//! The program that runs here is the real one: [`run`] writes a configuration in which three addresses differ from
//! everyday use (arXiv's, the relay's and the subscribers'), and makes one run on each of three simulated mornings. Between
//! fetch and mail there is no code of the demonstration.
//!
//! ```text
//! papers.json   forty invented papers, announced over ten days
//! sample        what of them can be seen when
//! query, arxiv  a server that answers searches for them as arXiv does
//! receiver      a mail server that keeps what it accepts
//! folder, index what is left to look at
//! ```

mod arxiv;
mod folder;
mod index;
mod query;
mod receiver;
mod sample;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use minijinja::context;
use tokio_util::sync::CancellationToken;

use self::{
    arxiv::Arxiv,
    folder::{Folder, FolderError},
    index::Day,
    receiver::Receiver,
    sample::Sample,
};
use crate::{
    admin,
    app::{self, App, AppError, Options},
    config::{Environment, Loaded},
    run::Report,
    store::StoreError,
};

/// The mornings on which digests go out.
const MORNINGS: [NaiveDate; 3] = [morning(11), morning(12), morning(13)];
/// At which time of day, UTC.
const TIME: NaiveTime = NaiveTime::from_hms_opt(7, 0, 0).expect("07:00 is a time of day");
/// How long the state of the morning before may take to be released.
const RELEASE_MAX: Duration = Duration::from_secs(10);
/// How often it is looked at.
const RELEASE_INTERVAL: Duration = Duration::from_millis(50);

const fn morning(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 2, day).expect("a day of February 2026")
}

/// Runs the demonstration into the folder `out` and says what it did and where to look.
///
/// # Errors
/// If the folder holds anything but a former demonstration, or if any step of the real work fails or stays incomplete.
pub async fn run(out: &Path) -> Result<String, AppError> {
    let folder = Folder::fresh(out).map_err(unusable)?;
    let samples = sample::papers();
    let arxiv = Arxiv::start(samples.clone(), MORNINGS[0].and_time(TIME).and_utc())
        .await
        .map_err(no_port)?;
    let receiver = Receiver::start(folder.mails()).await.map_err(no_port)?;
    let config = config(arxiv.address(), receiver.address()).map_err(anyhow::Error::new)?;
    folder.write_config(&config).map_err(unusable)?;
    let mut days = Vec::new();
    let mut reports = Vec::new();
    for day in MORNINGS {
        let now = day.and_time(TIME).and_utc();
        arxiv.set_time(now);
        receiver.write_into(folder.mails().join(day.to_string()));
        let report = one_morning(&folder, now).await?;
        let mails = receiver
            .take()
            .iter()
            .map(|received| index::unpack(&folder, received, &samples))
            .collect::<Result<Vec<_>, _>>()
            .map_err(anyhow::Error::new)?;
        let evening = day - Days::new(1);
        days.push(Day {
            name: day.format("%A, %-d %B %Y").to_string(),
            announcement: evening.format("%A, %-d %B").to_string(),
            account: account(&report),
            mails,
        });
        reports.push(report);
    }
    let page = index::page(&days, &folder.config(), samples.len()).map_err(anyhow::Error::new)?;
    folder.write(&folder.index(), &page).map_err(unusable)?;
    Ok(summary(&folder, &days, &samples))
}

/// One run of the real program, from opening its state to closing it.
async fn one_morning(folder: &Folder, now: DateTime<Utc>) -> Result<Report, AppError> {
    // No environment: under systemd the demonstration must not find the service's folders.
    let loaded = app::load_config(&folder.config(), &Environment::default())?;
    let app = open(
        &loaded,
        &Options {
            now: Some(now),
            dry_run: false,
        },
    )
    .await?;
    let report = admin::run_everyone(&app, &CancellationToken::new()).await?;
    if report.is_complete() {
        return Ok(report);
    }
    let why: Vec<String> = report
        .incomplete
        .iter()
        .map(|keyword| format!("{}: {}", keyword.keyword, keyword.why))
        .collect();
    Err(AppError::Other(anyhow::anyhow!(
        "the demo of {} is incomplete: {} of {} mails accepted; keywords not fetched: [{}]; run it again with -v to see why",
        now.format("%F"),
        report.accepted,
        report.queued,
        why.join("; "),
    )))
}

/// Opens the state, which the run before may hold a moment longer.
async fn open(loaded: &Loaded, options: &Options) -> Result<App, AppError> {
    let began = tokio::time::Instant::now();
    loop {
        match App::open(loaded.clone(), options).await {
            Err(AppError::Store(StoreError::InUse(_))) if began.elapsed() < RELEASE_MAX => {
                tokio::time::sleep(RELEASE_INTERVAL).await;
            }
            result => return result,
        }
    }
}

fn config(arxiv: SocketAddr, smtp: SocketAddr) -> Result<String, minijinja::Error> {
    let smtp = context! { host => smtp.ip().to_string(), port => smtp.port() };
    let text = minijinja::Environment::new().render_str(
        include_str!("config.toml.j2"),
        context! { arxiv => arxiv.to_string(), smtp },
    )?;
    Ok(text + "\n")
}

fn account(report: &Report) -> String {
    format!(
        "{} papers fetched, {} of them new; {} matches, {} excluded; {} mails accepted.",
        report.fetched, report.new, report.matched, report.excluded, report.accepted
    )
}

fn summary(folder: &Folder, days: &[Day], samples: &[Sample]) -> String {
    let mut words = format!("Three mornings, {} invented papers:\n", samples.len());
    let mut line = |text: String| {
        words.push_str(&text);
        words.push('\n');
    };
    let mut totals: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut n_twice = 0;
    for day in days {
        line(format!("\n{}\n  {}", day.name, day.account));
        for mail in &day.mails {
            let all = totals.entry(&mail.recipient).or_default();
            n_twice += mail.papers.iter().filter(|id| !all.insert(id)).count();
            line(format!(
                "  {:<18} {:>2} papers  {}",
                mail.recipient,
                mail.papers.len(),
                mail.subject
            ));
        }
    }
    let totals: Vec<String> = totals
        .iter()
        .map(|(recipient, all)| format!("{recipient} {}", all.len()))
        .collect();
    line(format!("\nPapers in all: {}; {n_twice} came twice.", totals.join(", ")));
    let config = folder.config();
    line(format!("\nopen    {}", folder.index().display()));
    line(format!("mails   {}", folder.mails().display()));
    line(format!("config  {}", config.display()));
    line(format!(
        "ask     paperround --config {} why 2602.90403 ana",
        config.display()
    ));
    line("\nNo network and no account was used.".to_owned());
    line(
        "To go on, copy that config.toml into a folder of its own, take out the lines that say \"demo only\", put in"
            .to_owned(),
    );
    line("your keywords, contact and relay, and run `paperround check` there.".to_owned());
    words
}

fn unusable(error: FolderError) -> AppError {
    match error {
        FolderError::Foreign(_) | FolderError::Edited(_) => AppError::Usage(error.to_string()),
        FolderError::Io(..) => AppError::Other(error.into()),
    }
}

fn no_port(error: std::io::Error) -> AppError {
    AppError::Other(anyhow::Error::new(error).context("the demo cannot listen on 127.0.0.1"))
}
