//! Answers that several routes give.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    app::App,
    render::{RenderError, WebPage},
    store::StoreError,
};

/// A page of sentences and buttons.
pub(super) fn page(app: &App, status: StatusCode, page: &WebPage) -> Response {
    html(status, app.delivery.composer.renderer.web_page(page))
}

/// A rendered page.
pub(super) fn html(status: StatusCode, rendered: Result<String, RenderError>) -> Response {
    match rendered {
        Ok(html) => (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be made");
            (StatusCode::INTERNAL_SERVER_ERROR, "something went wrong here\n").into_response()
        }
    }
}

/// The one answer to everything that is not there: a forged token, one of somebody who is gone, an unknown address. Whoever
/// tries learns nothing from it.
pub(super) fn not_found(app: &App) -> Response {
    let not_found = WebPage {
        headline: "Nothing is here".to_owned(),
        paragraphs: vec![
            "This address is not complete, or not valid any more. Mail programs sometimes cut a long one: open it from \
             the mail again, whole."
                .to_owned(),
            "If mails come that you do not want and their own link leads here, write to the address below.".to_owned(),
        ],
        contact: Some(contact(app)),
        ..WebPage::default()
    };
    page(app, StatusCode::NOT_FOUND, &not_found)
}

/// The store does not answer: nothing was changed, or it is not known whether it was.
pub(super) fn unavailable(app: &App, error: &StoreError) -> Response {
    tracing::error!(%error, "a request to the web part failed");
    let unavailable = WebPage {
        headline: "Please try again in a minute".to_owned(),
        paragraphs: vec!["The service cannot read or write its memory now.".to_owned()],
        contact: Some(contact(app)),
        ..WebPage::default()
    };
    page(app, StatusCode::SERVICE_UNAVAILABLE, &unavailable)
}

/// Where a person answers.
pub(super) fn contact(app: &App) -> String {
    let mail = &app.config.mail;
    mail.reply_to.as_ref().unwrap_or(&mail.from).address.clone()
}
