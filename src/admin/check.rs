//! `check`: the configuration in words.

use std::{fmt::Write as _, path::Path};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Reply, moment, sender, suppression};
use crate::{
    app::{self, App, AppError, Exit},
    arxiv::calendar,
    config::{self, Config, Environment, Loaded},
    model::Suppression,
    render::count,
    roster::{self, suppression_key},
    schedule::Schedule,
    store::StoreError,
};

/// How many coming slots of each schedule are shown.
const SLOTS_SHOWN: usize = 3;
/// How far schedules are looked at for slots that come too early for an announcement.
const YEAR: TimeDelta = TimeDelta::days(366);

/// Reads a configuration with the environment of the daemon and says what [`check`] says of it, and who in it is not
/// mailed.
///
/// # Errors
///
/// Every problem that was found.
pub(super) async fn in_daemon(app: &App, path: &Path) -> Result<Reply, AppError> {
    let loaded = app::load_config(path, &Environment::from_process())?;
    let mut reply = check(&loaded, app.clock.now());
    reply
        .output
        .push_str(&not_mailed(&loaded.config, &suppressions(app).await?));
    Ok(reply)
}

/// The subscribers of a configuration who are not mailed whatever it says, each with the reason; nothing if there are none.
pub fn not_mailed(config: &Config, suppressions: &[Suppression]) -> String {
    let mut text = String::new();
    for subscriber in config.subscribers() {
        let key = suppression_key(&subscriber.address);
        if let Some(found) = suppressions.iter().find(|suppression| suppression.address == key) {
            // Writing to a string cannot fail.
            let _infallible = writeln!(
                text,
                "  {}: {} since {} ({}); `paperround suppression remove` undoes it",
                subscriber.id,
                suppression::in_words(found.reason),
                moment(found.since),
                found.evidence
            );
        }
    }
    if text.is_empty() {
        return text;
    }
    format!("\nConfigured, but not mailed\n{text}")
}

pub(super) async fn suppressions(app: &App) -> Result<Vec<Suppression>, StoreError> {
    Ok(roster::suppressions(&*app.store).await?.into_values().collect())
}

/// The configuration in words: who gets what when, and what deserves a second look. Opens nothing.
pub fn check(loaded: &Loaded, now: DateTime<Utc>) -> Reply {
    let config = &loaded.config;
    let subscribers = config.subscribers();
    let mut text = format!(
        "{} is in order.\n",
        config
            .files
            .first()
            .map_or_else(String::new, |file| file.display().to_string())
    );
    let mut line = |words: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "{words}");
    };
    match &config.store {
        config::StoreConfig::Sled => line(format_args!("state: {}", config.state_dir.display())),
        database @ config::StoreConfig::Postgres(_) => line(format_args!("state: {database}")),
    }
    line(format_args!(
        "mail: from {} by {}",
        config.mail.from.address,
        transport(config)
    ));
    line(format_args!("\n{}", count(subscribers.len(), "subscriber")));
    for subscriber in &subscribers {
        let keywords: Vec<&str> = subscriber.keywords().map(|(heading, _)| heading.as_str()).collect();
        line(format_args!("  {}: {}", subscriber.id, keywords.join(", ")));
    }
    let named = config.named_keywords();
    if !named.is_empty() {
        line(format_args!("\nNamed keywords"));
        for (name, n_uses) in named {
            line(format_args!("  {name}: used {n_uses} times"));
        }
    }
    let mut schedules: Vec<_> = subscribers.iter().map(|subscriber| &subscriber.schedule).collect();
    schedules.sort_by_key(|schedule| (schedule.text().to_owned(), schedule.zone().name()));
    schedules.dedup_by_key(|schedule| (schedule.text().to_owned(), schedule.zone().name()));
    line(format_args!("\nSchedules, with their next {SLOTS_SHOWN} times"));
    for schedule in schedules {
        let slots: Vec<DateTime<Utc>> = schedule.slots_after(now).take(SLOTS_SHOWN).collect();
        let times: Vec<String> = slots.iter().map(|at| local(schedule, *at)).collect();
        line(format_args!(
            "  {} ({}): {}",
            schedule.text(),
            schedule.zone().name(),
            times.join(", ")
        ));
        if let early @ [first, ..] = early_slots(schedule, now).as_slice() {
            line(format_args!(
                "    after {} announcements of the coming year (20:00 US Eastern) a slot comes before 00:30, when not all of \
                 it can be read, next on {}: that digest covers the announcement before",
                early.len(),
                local(schedule, *first)
            ));
        }
    }
    if let Some(problem) = config.contact_problem() {
        line(format_args!("\n`serve` will refuse to start: {problem}"));
    }
    let mut problems: Vec<String> = loaded
        .warnings
        .iter()
        .map(|warning| format!("warning: {warning}"))
        .collect();
    let mut exit = Exit::Done;
    match sender::lines(config) {
        Ok(lines) => {
            for words in lines {
                line(format_args!("{words}"));
            }
        }
        Err(error) => {
            problems.push(error.to_string());
            exit = Exit::Configuration;
        }
    }
    Reply {
        output: text,
        problems,
        exit,
    }
}

/// For each announcement of the coming year that arXiv has made but does not show everywhere yet when a slot comes: that slot.
/// A whole year, since the zone's distance from New York changes with the season on either side.
fn early_slots(schedule: &Schedule, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let latest = calendar::latest_announcement(now);
    std::iter::successors(Some(latest), |announcement| Some(announcement.next()))
        .take_while(|announcement| announcement.at < now + YEAR)
        .filter(|announcement| !calendar::is_deferred(announcement.evening))
        .filter_map(|announcement| {
            let first = schedule.next_after((announcement.at - TimeDelta::seconds(1)).max(now));
            (first < announcement.visible_from()).then_some(first)
        })
        .collect()
}

/// A moment as the clocks of the schedule's zone show it.
fn local(schedule: &Schedule, at: DateTime<Utc>) -> String {
    let local = at.with_timezone(&schedule.zone());
    local.format("%a %F %H:%M:%S %Z").to_string()
}

fn transport(config: &config::Config) -> String {
    match &config.mail.transport {
        config::Transport::Smtp(relays) => {
            let names: Vec<&str> = relays.iter().map(|relay| relay.name.as_str()).collect();
            format!("SMTP through {}", names.join(", else "))
        }
        config::Transport::Sendmail { program } => program.display().to_string(),
        config::Transport::Maildir { dir } => format!("writing into the Maildir {}", dir.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a schedule is warned of does not depend on the day on which it is asked.
    #[test]
    fn slots_that_come_too_early_in_one_season_are_found_on_every_day_of_the_year() {
        let check = |text: &str, zone: &str, expected: Option<usize>| {
            let schedule = Schedule::parse(text, zone).unwrap();
            let began: DateTime<Utc> = "2026-01-01T12:00:00Z".parse().unwrap();
            for week in 0..53 {
                let early = early_slots(&schedule, began + TimeDelta::days(7 * week)).len();
                let least = expected.unwrap_or_default();
                let is_right = if least == 0 { early == 0 } else { early >= least };
                assert!(is_right, "{text} {zone} in week {week}: {early}");
            }
        };
        // 00:30 in New York, and 01:30 in the weeks in which the clocks have changed on one side only.
        check("30 6 * * *", "Europe/Berlin", None);
        check("0 7 * * *", "Europe/Berlin", None);
        check("0 6 * * *", "Europe/Berlin", Some(230));
        // 23:30 in the winter of New York, 00:30 in its summer.
        check("30 13 * * *", "Asia/Tokyo", Some(60));
        check("30 14 * * *", "Asia/Tokyo", None);
        // The evening itself, and days after which nothing is announced.
        check("0 20 * * *", "America/New_York", Some(230));
        check("59 19 * * *", "America/New_York", None);
        check("0 22 * * Fri,Sat", "America/New_York", None);
        check("0 3 1 * *", "UTC", Some(5));
        check("* * * * *", "UTC", Some(230));
    }
}
