//! `/u/TOKEN`: the reader's own page. GET shows it and changes nothing; POST does what is asked at once (RFC 8058).

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    answer,
    form::{self, Action},
    routes::Web,
};
use crate::{
    admin::reader::{self, Standing},
    app::App,
    model::SuppressionReason,
    render::{Button, Form, WebPage},
    roster::Person,
    token::Scope,
};

const WEEK: TimeDelta = TimeDelta::days(7);
const MONTH: TimeDelta = TimeDelta::days(30);

/// The page, whatever the token's owner did before.
pub(super) async fn show(State(web): State<Web>, Path(token): Path<String>) -> Response {
    let app = web.app();
    let Some(person) = owner(&app, &token) else {
        return answer::not_found(&app);
    };
    match reader::standing(&app, &person).await {
        Ok(standing) => answer::page(&app, StatusCode::OK, &page(&app, &person, &standing, None)),
        Err(error) => answer::unavailable(&app, &error),
    }
}

/// Does what the body asks for, before the answer. Doing it twice changes nothing more.
pub(super) async fn act(
    State(web): State<Web>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let app = web.app();
    let Some(person) = owner(&app, &token) else {
        return answer::not_found(&app);
    };
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let action = form::read(content_type, &body);
    let done = match action {
        Some(Action::Leave) => reader::leave(&app, &person).await,
        Some(Action::Undo) => reader::undo(&app, &person).await,
        Some(Action::PauseWeek) => reader::pause(&app, &person, WEEK).await,
        Some(Action::PauseMonth) => reader::pause(&app, &person, MONTH).await,
        Some(Action::Resume) => reader::resume(&app, &person).await,
        None => reader::standing(&app, &person).await,
    };
    let status = if action.is_some() {
        StatusCode::OK
    } else {
        StatusCode::BAD_REQUEST
    };
    match done {
        Ok(standing) => answer::page(&app, status, &page(&app, &person, &standing, action)),
        Err(error) => answer::unavailable(&app, &error),
    }
}

fn owner(app: &App, token: &str) -> Option<Arc<Person>> {
    let bearer = app.delivery.composer.keys.verify(Scope::Unsubscribe, token).ok()?;
    app.reader(&bearer).cloned()
}

fn page(app: &App, person: &Person, standing: &Standing, done: Option<Action>) -> WebPage {
    let mut page = WebPage {
        feed: Some(format!(
            "../s/{}.atom",
            app.delivery.composer.keys.sign(Scope::Feed, &person.id)
        )),
        contact: Some(answer::contact(app)),
        ..WebPage::default()
    };
    match standing.suppressed {
        Some(SuppressionReason::Unsubscribed) => left(&mut page, standing),
        Some(_) => silent(&mut page),
        None => mailed(&mut page, person, standing, done),
    }
    page
}

fn left(page: &mut WebPage, standing: &Standing) {
    page.headline = "You have left".to_owned();
    page.paragraphs = vec!["No more digests are sent to you.".to_owned()];
    if standing.is_in_hand {
        page.paragraphs.push(
            "One was being handed to the mail server at that moment. It may still come, and it is the last.".to_owned(),
        );
    }
    page.forms = vec![Form {
        text: Some("Was that a mistake? What matches in the meantime is kept for two weeks.".to_owned()),
        buttons: vec![button(Action::Undo, "Send me digests again", false)],
        ..Form::default()
    }];
}

/// Somebody else stopped the mails; the reader can only have that confirmed.
fn silent(page: &mut WebPage) {
    page.headline = "No digests are sent to you".to_owned();
    page.paragraphs = vec![
        "Your address is not mailed: mail to it came back, or somebody asked for that. To get digests again, write to the \
         address below."
            .to_owned(),
    ];
}

fn mailed(page: &mut WebPage, person: &Person, standing: &Standing, done: Option<Action>) {
    let stop = Form {
        heading: Some("Stop for good"),
        text: Some("At once, with one click. You can take it back on the page that follows.".to_owned()),
        buttons: vec![button(
            Action::Leave,
            "Stop these mails",
            standing.paused_until.is_none(),
        )],
        ..Form::default()
    };
    let pauses = vec![
        button(Action::PauseWeek, "Pause for a week", false),
        button(Action::PauseMonth, "Pause for a month", false),
    ];
    match standing.paused_until {
        Some(until) => {
            page.headline = "You are paused".to_owned();
            page.paragraphs = vec![format!(
                "No digest is sent to you until {}. What matches meanwhile is not lost: it comes in one digest afterwards.",
                day(until, person)
            )];
            let resume = if standing.is_pause_configured {
                page.paragraphs.push("The administrator has set this pause.".to_owned());
                Vec::new()
            } else {
                vec![button(Action::Resume, "End the pause", true)]
            };
            page.forms = vec![
                Form {
                    name: Some("pause"),
                    heading: Some("Change the pause"),
                    buttons: resume.into_iter().chain(pauses).collect(),
                    ..Form::default()
                },
                stop,
            ];
        }
        None => {
            page.headline = match done {
                Some(Action::Undo) => "You are back",
                Some(Action::Resume) => "The pause is over",
                Some(Action::Leave | Action::PauseWeek | Action::PauseMonth) | None => "Your digests",
            }
            .to_owned();
            page.paragraphs = vec![match done {
                Some(Action::Undo | Action::Resume) => {
                    "Digests are sent to you again; what waited comes with the next one.".to_owned()
                }
                _ => {
                    "You get a digest of new arXiv papers by mail. Nothing changes until you press a button.".to_owned()
                }
            }];
            page.forms = vec![
                stop,
                Form {
                    name: Some("pause"),
                    heading: Some("Only for a while"),
                    text: Some("What matches meanwhile comes in one digest afterwards.".to_owned()),
                    buttons: pauses,
                },
            ];
        }
    }
}

fn button(action: Action, label: &'static str, is_main: bool) -> Button {
    Button {
        action: action.value(),
        label,
        is_main,
    }
}

/// A day in the subscriber's zone. A pause without an end is one until somebody ends it.
fn day(until: DateTime<Utc>, person: &Person) -> String {
    let until = until.with_timezone(&person.schedule.zone());
    if until.format("%Y").to_string().as_str() >= "9999" {
        return "you end the pause".to_owned();
    }
    until.format("%-d %B %Y, %H:%M").to_string()
}
