//! What a relay says: read alike however it is cut into packets, bounded, and safe in a log.

use std::{io::Cursor, time::Duration};

use paperround::{
    mail::{
        capabilities::Capabilities,
        reply::{REPLY_CHARS_MAX, Reply},
        wire::Wire,
    },
    model::{Outcome, Stage},
};
use tokio::io::{AsyncReadExt as _, join, sink};

/// The input is all there, so that nothing is waited for.
const LIMIT: Duration = Duration::from_secs(5);
/// A reply's text and the advice of ours that is added to it, in bytes.
const OUTCOME_BYTES_MAX: usize = 4 * REPLY_CHARS_MAX + 400;
const STAGES: [Stage; 10] = [
    Stage::Connect,
    Stage::Tls,
    Stage::Greeting,
    Stage::Hello,
    Stage::Auth,
    Stage::Mail,
    Stage::Recipient,
    Stage::Data,
    Stage::Body,
    Stage::FinalReply,
];
/// What must never be shown again.
const SECRET: &str = "hunter2-hunter2";

/// All that a relay says until it closes; the first byte says where a packet ends.
pub fn reply(input: &[u8]) {
    let Some((cut, said)) = input.split_first() else { return };
    let cut = usize::from(*cut).min(said.len());
    let whole = replies(said, said.len());
    assert_eq!(whole, replies(said, cut), "packets end at {cut}");
    let (replies, end) = whole;
    assert!(replies.len() <= said.iter().filter(|byte| **byte == b'\n').count());
    super::is_line(&end, OUTCOME_BYTES_MAX);
    // With characters in between that nobody sees it is another text; a relay that does that knows the password anyway.
    assert!(!said.is_ascii() || !end.contains(SECRET), "{end}");
    for reply in replies {
        assert!((200..=559).contains(&reply.code), "{reply:?}");
        assert!(reply.text.chars().count() <= REPLY_CHARS_MAX);
        super::is_line(&reply.text, OUTCOME_BYTES_MAX);
        assert!(!said.is_ascii() || !reply.text.contains(SECRET));
        for stage in STAGES {
            is_judged(&reply, &reply.judge(stage));
        }
    }
}

/// The replies and what ended them, over a connection whose first packet has `cut` bytes.
fn replies(said: &[u8], cut: usize) -> (Vec<Reply>, String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime of one thread");
    let (first, second) = said.split_at(cut);
    let from_relay = Cursor::new(first.to_vec()).chain(Cursor::new(second.to_vec()));
    let mut wire = Wire::new(Box::new(join(from_relay, sink())));
    wire.hide(SECRET);
    runtime.block_on(async {
        let mut replies = Vec::new();
        loop {
            match wire.read(LIMIT).await {
                Ok(response) => {
                    assert!(Capabilities::parse(&response).mechanisms.len() <= 20);
                    replies.push(Reply::new(&response));
                }
                Err(fault) => return (replies, fault.to_string()),
            }
        }
    })
}

/// A refusal is never taken for success, and only codes of the fifth hundred are held against a recipient.
fn is_judged(reply: &Reply, outcome: &Outcome) {
    let said = match outcome {
        Outcome::Accepted { .. } | Outcome::Unconfirmed { .. } => panic!("{reply:?} came to {outcome:?}"),
        Outcome::TransientRecipient { reply, .. }
        | Outcome::TransientRelay { reply, .. }
        | Outcome::Configuration { reply, .. } => reply,
        Outcome::PermanentRecipient { reply: said, .. } | Outcome::PermanentMessage { reply: said, .. } => {
            assert!(reply.code >= 500, "{reply:?} came to {outcome:?}");
            said
        }
    };
    super::is_line(said, OUTCOME_BYTES_MAX);
}
