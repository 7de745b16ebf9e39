//! `/`: the Daily Papers page, to be looked through by keyword and day. Off unless `web.page` is set: it shows to anybody
//! what is subscribed to here.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use axum::{
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{NaiveDate, TimeDelta};
use serde::Deserialize;

use super::{answer, cache::Key, routes::Web};
use crate::{
    app::App,
    export::{self, Section, Wanted},
    mail::compose::Papers,
    model::{CoverageNote, DigestId, DigestKind, DigestRecord, PaperRecord, SectionRecord, Shown, SubscriberId, Term},
    render::{PapersPage, RenderError},
    store::StoreError,
};

/// Papers of one keyword where all keywords are shown, and papers in all.
const OVERVIEW_SECTION_MAX: usize = 10;
const PAPERS_MAX: usize = 400;
/// Papers are kept about this long, so no earlier day is offered.
const DAYS_BACK: TimeDelta = TimeDelta::days(150);

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    keyword: String,
    #[serde(default)]
    day: String,
}

/// The page, or what an absent one looks like.
pub(super) async fn show(State(web): State<Web>, Query(asked): Query<Asked>) -> Response {
    let app = web.app();
    if !app.config.web.page {
        return answer::not_found(&app);
    }
    let wanted = Wanted {
        keyword: (!asked.keyword.is_empty()).then_some(asked.keyword),
        day: asked.day.parse().ok(),
    };
    if !is_possible(&app, &wanted) {
        let nothing = export::Page {
            updated: app.clock.now(),
            sections: Vec::new(),
        };
        return answer::html(StatusCode::OK, html(&app, &wanted, &nothing));
    }
    let made = web
        .cache
        .get(&app, Key::Page(wanted.clone()), || written(&app, &wanted))
        .await;
    match made {
        Ok(text) => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text.to_string()).into_response(),
        Err(error) => answer::unavailable(&app, &error),
    }
}

/// Whether anything can be found: then it is worth reading all that is stored, and worth keeping what came of it.
fn is_possible(app: &App, wanted: &Wanted) -> bool {
    let (first, last) = days(app);
    let is_known = |keyword: &String| keywords(app).contains(&keyword.as_str());
    wanted.keyword.as_ref().is_none_or(is_known) && wanted.day.is_none_or(|day| (first..=last).contains(&day))
}

async fn written(app: &App, wanted: &Wanted) -> Result<String, StoreError> {
    let nothing = HashMap::<Term, _>::new();
    let page = export::search(&*app.store, &app.roster, wanted, &nothing, app.clock.now()).await?;
    html(app, wanted, &page).map_err(|error| StoreError::Damaged {
        place: "the page of papers".to_owned(),
        what: error.to_string(),
    })
}

fn html(app: &App, wanted: &Wanted, page: &export::Page) -> Result<String, RenderError> {
    let is_overview = wanted.keyword.is_none() && wanted.day.is_none();
    let (record, papers) = record(app, page, is_overview);
    let n_found: BTreeSet<_> = page
        .sections
        .iter()
        .flat_map(|section| &section.papers)
        .map(|paper| &paper.id)
        .collect();
    let n_shown: BTreeSet<_> = record.papers().map(|paper| &paper.id).collect();
    let (first, last) = days(app);
    let asked = PapersPage {
        keywords: keywords(app).into_iter().map(str::to_owned).collect(),
        keyword: wanted.keyword.clone().unwrap_or_default(),
        day: wanted.day.map_or_else(String::new, |day| day.to_string()),
        days: (first.to_string(), last.to_string()),
        found: found(n_found.len(), n_shown.len()),
        is_overview: n_shown.len() < n_found.len(),
    };
    let composer = &app.delivery.composer;
    composer.with_sources(&record, &papers, |sources| {
        composer.renderer.papers_page(&asked, &record, sources)
    })
}

fn found(n_found: usize, n_shown: usize) -> String {
    match (n_found, n_shown) {
        (0, _) => "Nothing was found.".to_owned(),
        (1, _) => "One paper.".to_owned(),
        (n, shown) if shown < n => format!("{shown} of {n} papers."),
        (n, _) => format!("{n} papers."),
    }
}

/// The page in the form of a digest, which is what cards are made of.
fn record(app: &App, page: &export::Page, is_overview: bool) -> (DigestRecord, Papers) {
    let section_max = if is_overview {
        OVERVIEW_SECTION_MAX
    } else {
        export::PAPERS_MAX
    };
    let mut papers = Papers::new();
    let mut n_left = PAPERS_MAX;
    let mut sections = Vec::new();
    for (keyword, section) in (0_u16..).zip(&page.sections) {
        let shown = &section.papers[..section.papers.len().min(section_max).min(n_left)];
        n_left -= shown.len();
        papers.extend(
            shown
                .iter()
                .map(|paper| (paper.versioned_id(), Arc::new(paper.clone()))),
        );
        sections.push(SectionRecord {
            keyword,
            papers: shown
                .iter()
                .map(|paper| PaperRecord {
                    id: paper.id.clone(),
                    version: paper.version,
                    shown: Shown::Short,
                    also: Vec::new(),
                    replaces: None,
                    changes: None,
                })
                .collect(),
            n_waiting: 0,
            n_skipped: 0,
        });
    }
    let record = DigestRecord {
        id: DigestId {
            subscriber: SubscriberId("(the page of papers)".into()),
            number: 0,
        },
        kind: DigestKind::Digest,
        address: String::new(),
        name: None,
        frozen_at: page.updated,
        zone: "UTC".to_owned(),
        keywords: page
            .sections
            .iter()
            .map(|section| (section.keyword.clone(), term(app, section)))
            .collect(),
        sections,
        coverage: CoverageNote::default(),
        shared: true,
    };
    (record, papers)
}

/// What is marked in a section's papers.
fn term(app: &App, section: &Section) -> Term {
    let mut keywords = app.roster.people().iter().flat_map(|person| person.keywords());
    keywords.find(|(heading, _)| *heading == section.keyword).map_or_else(
        || Term::phrase(section.keyword.as_str()),
        |(_, definition)| definition.term.clone(),
    )
}

/// Every keyword once, in the order of the alphabet.
fn keywords(app: &App) -> BTreeSet<&str> {
    let all = app.roster.people().iter().flat_map(|person| person.keywords());
    all.map(|(heading, _)| heading.as_str()).collect()
}

fn days(app: &App) -> (NaiveDate, NaiveDate) {
    let today = app.clock.now().date_naive();
    (today - DAYS_BACK, today)
}
