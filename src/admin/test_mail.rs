//! `test-mail`: one real message through the configured way out, and what came of it in words.

use super::Reply;
use crate::{
    app::{App, AppError, Exit},
    delivery::in_words,
    mail::message::{self, Letter, Mailbox},
    model::{DigestId, Outcome, SubscriberId},
};

pub(super) async fn command(app: &App, address: &str) -> Result<Reply, AppError> {
    let address = crate::config::parse_address(address).map_err(AppError::Usage)?;
    let now = app.clock.now();
    let composer = &app.delivery.composer;
    // A digest number that no real digest has, made unique by the moment.
    let id = DigestId {
        subscriber: SubscriberId(format!("test {address} {}", now.timestamp_millis())),
        number: 0,
    };
    let domain = composer
        .sender
        .from
        .address
        .rsplit_once('@')
        .map_or("", |(_, domain)| domain);
    let message_id = composer.keys.message_id(&id, domain);
    let letter = Letter::notice(
        composer.sender.from.clone(),
        Mailbox::new(None, address.clone()),
        "Test of Paperround".to_owned(),
        text(app),
        now,
        message_id.clone(),
    );
    let unsigned = message::build(&letter).map_err(anyhow::Error::new)?;
    let bytes = match &composer.signer {
        Some(signer) => signer.sign(&unsigned, now).map_err(anyhow::Error::new)?,
        None => unsigned,
    };
    let mut courier = app.delivery.transport.courier();
    let outcome = courier.send_notice(&address, &message_id, now, &bytes).await;
    let dialogue: String = courier.dialogue().iter().map(|step| format!("  {step}\n")).collect();
    courier.close().await;
    let words = format!("{address}: {}\n", in_words(&outcome));
    Ok(match outcome {
        Outcome::Accepted { .. } => Reply::done(format!(
            "{dialogue}{words}Accepted means that the relay took it; look into the mailbox, and into its spam folder.\n"
        )),
        _ => Reply {
            output: dialogue,
            problems: vec![words.trim_end().to_owned()],
            exit: Exit::Failed,
        },
    })
}

fn text(app: &App) -> String {
    format!(
        "This is a test of Paperround {}.\n\nIt came through {} the way that digests come.\nNothing needs to be done about it.\n",
        env!("CARGO_PKG_VERSION"),
        app.delivery.transport.in_words()
    )
}
