//! `test-mail`: one real message through the configured way out, and what came of it in words.

use super::Reply;
use crate::{
    app::{App, AppError, Exit},
    delivery::in_words,
    mail::message::Mailbox,
    model::Outcome,
    render::{Block, Notice},
};

pub(super) async fn command(app: &App, address: &str) -> Result<Reply, AppError> {
    let address = crate::config::parse_address(address).map_err(AppError::Usage)?;
    let now = app.clock.now();
    let (message_id, bytes) = app
        .delivery
        .composer
        .notice("test", Mailbox::new(None, address.clone()), &notice(app), now)
        .map_err(anyhow::Error::new)?;
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

fn notice(app: &App) -> Notice {
    Notice {
        subject: "Test of Paperround".to_owned(),
        lead: "The way that digests come works".to_owned(),
        headline: "A test".to_owned(),
        blocks: vec![Block {
            heading: None,
            paragraphs: vec![
                format!("This is a test of Paperround {}.", env!("CARGO_PKG_VERSION")),
                format!(
                    "It came through {}, the way that digests come. Nothing needs to be done about it.",
                    app.delivery.transport.in_words()
                ),
            ],
        }],
        why: "The operator of this service asked for one mail to this address.".to_owned(),
    }
}
