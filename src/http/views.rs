//! `/d/TOKEN`, a digest in the browser, and `/s/TOKEN.atom`, a subscriber's feed. Each has a token of its own that allows
//! nothing else.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{answer, cache::Key, routes::Web};
use crate::{
    app::App,
    export::{self, FeedName, Wanted},
    model::{DigestId, Term},
    render::WebPage,
    roster::{Person, Roster},
    store::{self, StoreError},
    token::{Bearer, Scope},
};

/// What a feed's address ends with.
const FEED_END: &str = ".atom";

/// The digest as it was mailed, from what is stored of it.
pub(super) async fn digest(State(web): State<Web>, Path(token): Path<String>) -> Response {
    let app = web.app();
    let composer = &app.delivery.composer;
    let Some((number, person)) = composer
        .keys
        .verify(Scope::View, &token)
        .ok()
        .and_then(|bearer| Some((bearer.digest?, app.reader(&bearer)?)))
    else {
        return answer::not_found(&app);
    };
    let id = DigestId {
        subscriber: person.id.clone(),
        number,
    };
    let stored = async {
        let Some(entry) = app.store.entry(&id).await? else {
            return Ok::<_, StoreError>(None);
        };
        let papers = store::papers_of(&*app.store, &entry.value.digest).await?;
        Ok(Some((entry.value.digest, papers)))
    };
    match stored.await {
        Ok(Some((record, papers))) => answer::html(StatusCode::OK, composer.web_page(&record, &papers)),
        Ok(None) => gone(&app),
        Err(error) => answer::unavailable(&app, &error),
    }
}

/// A digest is kept for two weeks after it was sent.
fn gone(app: &App) -> Response {
    let gone = WebPage {
        headline: "This digest is not kept any more".to_owned(),
        paragraphs: vec![
            "Digests can be read here for two weeks after they were sent. The mail itself holds everything that this page did."
                .to_owned(),
        ],
        contact: Some(answer::contact(app)),
        ..WebPage::default()
    };
    answer::page(app, StatusCode::GONE, &gone)
}

/// The newest papers on the subscriber's keywords.
pub(super) async fn feed(State(web): State<Web>, Path(file): Path<String>) -> Response {
    let app = web.app();
    let keys = &app.delivery.composer.keys;
    let owner = file
        .strip_suffix(FEED_END)
        .and_then(|token| keys.verify(Scope::Feed, token).ok())
        .and_then(|bearer| Some((bearer, Arc::clone(app.reader(&bearer)?))));
    let Some((bearer, person)) = owner else {
        return answer::not_found(&app);
    };
    let made = web
        .cache
        .get(&app, Key::Feed(person.id.clone()), || written(&app, bearer, &person))
        .await;
    match made {
        Ok(text) => (
            [(header::CONTENT_TYPE, "application/atom+xml; charset=utf-8")],
            text.to_string(),
        )
            .into_response(),
        Err(error) => answer::unavailable(&app, &error),
    }
}

async fn written(app: &App, bearer: Bearer, person: &Arc<Person>) -> Result<String, StoreError> {
    let alone = Roster::new(vec![Person::clone(person)]);
    let nothing = HashMap::<Term, _>::new();
    let page = export::search(&*app.store, &alone, &Wanted::default(), &nothing, app.clock.now()).await?;
    let sender = &app.delivery.composer.sender;
    let name = FeedName {
        // The same for the same address, which is what a feed reader knows it by.
        id: format!("urn:paperround:feed:{}", bearer.id),
        title: sender.list_label.clone(),
    };
    Ok(export::feed(&page, &name))
}
