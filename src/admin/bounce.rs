//! `bounce`: what comes back by mail is settled, from standard input or from a Maildir.
//!
//! Anybody can write such a mail, so nothing is believed without a token that only our own mail carried. A mail that
//! cannot be settled is logged and is no error: a pipe alias would bounce it to yet another address.

use std::{fs::File, io::Read as _, path::Path};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Reply, suppression};
use crate::{
    app::{App, AppError},
    mail::{
        bounce::{self, BouncedRecipient, Complaint, Dsn, UnsubscribeRequest, Verdict, Weight},
        maildir,
    },
    model::{SubscriberId, Suppression, SuppressionReason},
    roster::{self, Person, Roster, masked},
    store::{Batch, DocumentKind, EntryFilter, Store, StoreError, Versioned, documents},
    token::{Bearer, Keys, Scope},
};

/// Octets of a mail that are taken; the reader looks at no more.
pub const MAIL_BYTES_MAX: u64 = 2 << 20;
/// A mailbox is suppressed when it was refused as not existing on this many different days.
const HARD_DAYS: usize = 2;
/// And when mail came back for passing reasons on this many different days (Mailman's threshold).
const SOFT_DAYS: usize = 5;
/// Passing reasons are forgotten after this long without another one (Mailman's default).
const SOFT_STALE: TimeDelta = TimeDelta::days(7);
/// How many mails of the Maildir are read in one turn.
const MAILS_PER_TURN: usize = 100;
/// How often a decision that somebody else overtook is made again.
const CONFLICTS_MAX: usize = 20;

/// What mails are settled with.
#[derive(Debug, Clone, Copy)]
struct Office<'a> {
    store: &'a dyn Store,
    roster: &'a Roster,
    keys: &'a Keys,
    now: DateTime<Utc>,
}

impl<'a> Office<'a> {
    fn of(app: &'a App) -> Self {
        Self {
            store: &*app.store,
            roster: &app.roster,
            keys: &app.delivery.composer.keys,
            now: app.clock.now(),
        }
    }
}

pub(super) async fn command(app: &App, mail: &[u8]) -> Result<Reply, AppError> {
    let words = settle(Office::of(app), mail).await?;
    Ok(Reply::done(format!("{words}\n")))
}

/// Settles the mails that nobody has read in the configured Maildir. Returns how many there were.
///
/// # Errors
/// Only if the store fails; what is wrong with the Maildir is logged.
pub async fn read_maildir(app: &App) -> Result<usize, StoreError> {
    let Some(dir) = &app.config.mail.bounce_maildir else {
        return Ok(0);
    };
    read_from(Office::of(app), dir).await
}

async fn read_from(office: Office<'_>, dir: &Path) -> Result<usize, StoreError> {
    let complain = |error: &std::io::Error| {
        tracing::error!(path = %dir.display(), %error, "bounce_maildir cannot be read");
    };
    let paths = match maildir::unread(dir, MAILS_PER_TURN) {
        Ok(paths) => paths,
        Err(error) => {
            complain(&error);
            return Ok(0);
        }
    };
    let mut n_read = 0;
    for path in paths {
        let mail = match read_file(&path) {
            Ok(mail) => mail,
            Err(error) => {
                complain(&error);
                continue;
            }
        };
        settle(office, &mail).await?;
        // Settling twice changes nothing, so a mail that cannot be moved does no harm.
        if let Err(error) = maildir::mark_read(dir, &path) {
            complain(&error);
            break;
        }
        n_read += 1;
    }
    Ok(n_read)
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut mail = Vec::new();
    File::open(path)?.take(MAIL_BYTES_MAX).read_to_end(&mut mail)?;
    Ok(mail)
}

/// Reads one mail and does what it calls for; says what that was.
async fn settle(office: Office<'_>, mail: &[u8]) -> Result<String, StoreError> {
    let words = match bounce::read(mail) {
        Verdict::Dsn(dsn) => report(office, &dsn).await?,
        Verdict::Complaint(complaint) => complained(office, &complaint).await?,
        Verdict::Unsubscribe(request) => asked_to_leave(office, &request).await?,
        Verdict::Delayed(_) => "a report in which nobody has failed: nothing changes".to_owned(),
        Verdict::AutoReply => "an automatic reply: nothing changes".to_owned(),
        Verdict::Unknown => "no report, complaint or request to leave: left for a person to read".to_owned(),
    };
    tracing::info!(verdict = words, "a mail that came back was read");
    Ok(words)
}

async fn report(office: Office<'_>, dsn: &Dsn) -> Result<String, StoreError> {
    let bearer = dsn
        .envelope_token
        .as_ref()
        .and_then(|token| office.keys.verify_envelope(token).ok());
    let Some(person) = bearer.and_then(|bearer| owner(office, &bearer)) else {
        return Ok("a delivery report without a token of ours: nothing changes".to_owned());
    };
    if !is_about_present_address(office, person, dsn.original_message_id.as_deref()).await? {
        return Ok(format!(
            "{}: a report on an address of before: nothing changes",
            masked(&person.id)
        ));
    }
    let who = masked(&person.id);
    let Some(recipient) = gravest(&dsn.recipients) else {
        return Ok(format!(
            "{who}: a report that says nothing against the mailbox: nothing changes"
        ));
    };
    let (days, needed, reason) = match recipient.weight() {
        Weight::Hard => (refused(office, person).await?, HARD_DAYS, SuppressionReason::HardBounce),
        Weight::Soft => (
            came_back(office, person).await?,
            SOFT_DAYS,
            SuppressionReason::SoftBounces,
        ),
        Weight::None => return Ok(format!("{who}: nothing changes")),
    };
    if days < needed {
        return Ok(format!(
            "{who}: noted, on {days} of {needed} days: {}",
            recipient.diagnostic
        ));
    }
    let evidence = format!("reported on {days} days, last: {}", recipient.diagnostic);
    suppress(office, person, reason, evidence).await
}

/// The recipient of a report that says most against a mailbox.
fn gravest(recipients: &[BouncedRecipient]) -> Option<&BouncedRecipient> {
    let rank = |recipient: &&BouncedRecipient| match recipient.weight() {
        Weight::Hard => 2,
        Weight::Soft => 1,
        Weight::None => 0,
    };
    recipients
        .iter()
        .filter(|recipient| rank(recipient) > 0)
        .max_by_key(rank)
}

/// Whether a report is on mail to the address that a person has now; a mail that is not kept any more counts as that.
async fn is_about_present_address(
    office: Office<'_>,
    person: &Person,
    message_id: Option<&str>,
) -> Result<bool, StoreError> {
    let filter = EntryFilter {
        subscriber: Some(person.id.clone()),
        ..EntryFilter::default()
    };
    let entries = office.store.entries(&filter).await?;
    let reported = entries
        .iter()
        .find(|entry| message_id.is_some_and(|id| entry.value.message_id.eq_ignore_ascii_case(id)));
    Ok(reported.is_none_or(|entry| entry.value.digest.address.eq_ignore_ascii_case(&person.address)))
}

/// Notes that a mailbox was refused today; returns on how many days it was.
async fn refused(office: Office<'_>, person: &Person) -> Result<usize, StoreError> {
    let today = office.now.date_naive();
    let mut n_days = 0;
    roster::update(office.store, std::slice::from_ref(&person.id), |state| {
        let days = &mut state.value.refused_on;
        let is_new = !days.contains(&today);
        if is_new {
            days.push(today);
        }
        n_days = days.len();
        is_new
    })
    .await?;
    Ok(n_days)
}

/// The days on which mail to somebody came back for passing reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SoftBounces {
    on: Vec<NaiveDate>,
}

impl SoftBounces {
    /// Notes one more day. Days before a long enough silence are forgotten. Returns whether anything changed.
    fn note(&mut self, today: NaiveDate) -> bool {
        if self.on.last().is_some_and(|last| today - *last > SOFT_STALE) {
            self.on.clear();
        }
        let is_new = !self.on.contains(&today);
        if is_new {
            self.on.push(today);
            let n_surplus = self.on.len().saturating_sub(SOFT_DAYS);
            self.on.drain(..n_surplus);
        }
        is_new
    }
}

/// Notes that mail came back today for a passing reason; returns on how many days it did.
async fn came_back(office: Office<'_>, person: &Person) -> Result<usize, StoreError> {
    let key = format!("soft-bounces {}", person.id);
    for _ in 0..CONFLICTS_MAX {
        let mut days: Versioned<SoftBounces> = documents::load(office.store, DocumentKind::Note, &key).await?;
        if !days.value.note(office.now.date_naive()) {
            return Ok(days.value.on.len());
        }
        let batch = Batch {
            documents: vec![documents::to_write(DocumentKind::Note, &key, &days)?],
            ..Batch::default()
        };
        match office.store.commit(batch).await {
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(days.value.on.len()),
        }
    }
    Err(StoreError::Conflict(key))
}

async fn complained(office: Office<'_>, complaint: &Complaint) -> Result<String, StoreError> {
    let by_envelope = complaint
        .envelope_token
        .as_ref()
        .and_then(|token| office.keys.verify_envelope(token).ok());
    let by_link = complaint
        .link_token
        .as_ref()
        .and_then(|token| office.keys.verify(Scope::Unsubscribe, token).ok());
    let Some(person) = by_link.or(by_envelope).and_then(|bearer| owner(office, &bearer)) else {
        return Ok("a complaint without a token of ours: nothing changes".to_owned());
    };
    let evidence = format!("a complaint of the kind {:?}", complaint.kind);
    suppress(office, person, SuppressionReason::Complaint, evidence).await
}

async fn asked_to_leave(office: Office<'_>, request: &UnsubscribeRequest) -> Result<String, StoreError> {
    let bearer = request.token.as_ref().and_then(|token| {
        let by_link = office.keys.verify(Scope::Unsubscribe, token);
        by_link.or_else(|_| office.keys.verify_leave_address(token)).ok()
    });
    let Some(person) = bearer.and_then(|bearer| owner(office, &bearer)) else {
        let from = request.from.as_deref().unwrap_or("nobody named");
        return Ok(format!(
            "a request to leave from {from} without a token of ours: nothing changes; if it is genuine, `suppression add` it"
        ));
    };
    // One member of a list must not sign off everybody.
    if person.shared {
        return Ok(format!(
            "{}: a request to leave for a list: nothing changes",
            masked(&person.id)
        ));
    }
    suppress(
        office,
        person,
        SuppressionReason::Unsubscribed,
        "asked by mail".to_owned(),
    )
    .await
}

async fn suppress(
    office: Office<'_>,
    person: &Person,
    reason: SuppressionReason,
    evidence: String,
) -> Result<String, StoreError> {
    let suppression = Suppression {
        address: roster::suppression_key(&person.address),
        reason,
        evidence,
        since: office.now,
    };
    let is_new = suppression::put(office.store, suppression).await?;
    let (who, why) = (masked(&person.id), suppression::in_words(reason));
    if is_new {
        tracing::warn!(
            subscriber.id = who,
            reason = why,
            "address suppressed; `paperround suppression remove` undoes it"
        );
        Ok(format!("{who}: suppressed ({why})"))
    } else {
        Ok(format!("{who}: suppressed already"))
    }
}

/// Whose token it is.
fn owner<'a>(office: Office<'a>, bearer: &Bearer) -> Option<&'a Person> {
    let is_theirs = |id: &SubscriberId| office.keys.opaque_ids(id).any(|opaque| opaque == bearer.id);
    let found = office.roster.people().iter().find(|person| is_theirs(&person.id))?;
    Some(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        admin::fixture::{at, entry, person, put},
        store::memory::MemoryStore,
        token::TokenKey,
    };

    struct Desk {
        store: MemoryStore,
        roster: Roster,
        keys: Keys,
    }

    impl Desk {
        fn new() -> Self {
            let mut list = person("list");
            list.shared = true;
            Self {
                store: MemoryStore::new(),
                roster: Roster::new(vec![person("ana"), person("bo"), list]),
                keys: Keys::new(vec![TokenKey::from_bytes("k1", [7; 32]).unwrap()]).unwrap(),
            }
        }

        fn office(&self, day: u32) -> Office<'_> {
            Office {
                store: &self.store,
                roster: &self.roster,
                keys: &self.keys,
                now: at(day),
            }
        }

        async fn take(&self, day: u32, mail: &str) -> String {
            settle(self.office(day), mail.as_bytes()).await.unwrap()
        }

        async fn reason(&self, address: &str) -> Option<SuppressionReason> {
            let all = roster::suppressions(&self.store).await.unwrap();
            all.get(address).map(|suppression| suppression.reason)
        }

        fn envelope(&self, id: &str) -> String {
            self.keys.sign_envelope(&SubscriberId(id.into()))
        }
    }

    fn dsn(token: &str, action: &str, status: &str) -> String {
        format!(
            "From: MAILER-DAEMON@mx.example.com\r\nTo: bounces+{token}@example.org\r\nSubject: Undelivered\r\n\
             MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
             --b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\
             Reporting-MTA: dns; mx.example.com\r\n\r\nFinal-Recipient: rfc822; ana@example.net\r\nAction: {action}\r\n\
             Status: {status}\r\nDiagnostic-Code: smtp; 550 {status} no\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
             Message-ID: <pr1.ana@example.org>\r\nSubject: x\r\n\r\nx\r\n--b--\r\n"
        )
    }

    #[tokio::test]
    async fn a_mailbox_that_does_not_exist_on_two_days_is_suppressed() {
        let desk = Desk::new();
        let token = desk.envelope("ana");
        let first = desk.take(1, &dsn(&token, "failed", "5.1.1")).await;
        assert!(first.contains("on 1 of 2 days"), "{first}");
        // A second report of the same day is no more evidence.
        desk.take(1, &dsn(&token, "failed", "5.1.1")).await;
        assert_eq!(desk.reason("ana@example.net").await, None);
        desk.take(2, &dsn(&token, "failed", "5.2.1")).await;
        assert_eq!(
            desk.reason("ana@example.net").await,
            Some(SuppressionReason::HardBounce)
        );
        assert_eq!(desk.reason("bo@example.net").await, None);
    }

    #[tokio::test]
    async fn full_mailboxes_are_suppressed_on_the_fifth_day_unless_days_lie_between() {
        let desk = Desk::new();
        let token = desk.envelope("ana");
        for day in [1, 2, 3, 4, 13, 14, 15, 16] {
            desk.take(day, &dsn(&token, "failed", "5.2.2")).await;
            assert_eq!(desk.reason("ana@example.net").await, None, "on day {day}");
        }
        desk.take(17, &dsn(&token, "failed", "4.4.7")).await;
        assert_eq!(
            desk.reason("ana@example.net").await,
            Some(SuppressionReason::SoftBounces)
        );
    }

    #[tokio::test]
    async fn what_proves_nothing_changes_nothing() {
        let desk = Desk::new();
        let token = desk.envelope("ana");
        let stranger = Keys::new(vec![TokenKey::from_bytes("k1", [8; 32]).unwrap()]).unwrap();
        let forged = stranger.sign_envelope(&SubscriberId("ana".into()));
        let mails = [
            dsn(&forged, "failed", "5.1.1"),
            dsn("", "failed", "5.1.1"),
            dsn(&token, "delayed", "4.4.1"),
            dsn(&token, "failed", "5.7.1"),
            dsn(&desk.envelope("nobody"), "failed", "5.1.1"),
            "Subject: hello\r\n\r\nhello\r\n".to_owned(),
            "\u{0}\u{1}".to_owned(),
            "From: ana@example.net\r\nTo: leave@example.org\r\nSubject: unsubscribe\r\n\r\n\r\n".to_owned(),
        ];
        for day in [1, 2] {
            for mail in &mails {
                let words = desk.take(day, mail).await;
                assert!(
                    words.contains("nothing changes") || words.contains("left for a person"),
                    "{words}"
                );
            }
        }
        assert!(roster::suppressions(&desk.store).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_report_on_an_address_of_before_does_not_count_against_the_present_one() {
        let desk = Desk::new();
        let (mut former, state) = entry("ana", &[7]);
        former.digest.address = "ana@former.example.net".to_owned();
        put(&desk.store, former, state).await;
        let token = desk.envelope("ana");
        for day in [1, 2] {
            let words = desk.take(day, &dsn(&token, "failed", "5.1.1")).await;
            assert!(words.contains("an address of before"), "{words}");
        }
        assert_eq!(desk.reason("ana@example.net").await, None);
    }

    #[tokio::test]
    async fn who_asks_with_a_genuine_token_leaves_at_once_and_a_list_does_not() {
        let desk = Desk::new();
        let ask = |id: &str| {
            let token = desk.keys.sign(Scope::Unsubscribe, &SubscriberId(id.into()));
            format!("From: x@example.com\r\nTo: leave@example.org\r\nSubject: unsubscribe {token}\r\n\r\n\r\n")
        };
        let words = desk.take(1, &ask("bo")).await;
        assert!(words.ends_with("suppressed (unsubscribed)"), "{words}");
        assert_eq!(
            desk.reason("bo@example.net").await,
            Some(SuppressionReason::Unsubscribed)
        );
        assert!(desk.take(2, &ask("bo")).await.contains("already"));
        assert!(desk.take(1, &ask("list")).await.contains("nothing changes"));
        assert_eq!(desk.reason("list@example.net").await, None);
    }

    #[tokio::test]
    async fn mails_of_the_maildir_are_settled_once() {
        let desk = Desk::new();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("new")).unwrap();
        let token = desk.envelope("ana");
        fs::write(folder.path().join("new/1"), dsn(&token, "failed", "5.1.1")).unwrap();
        fs::write(folder.path().join("new/2"), "Subject: x\r\n\r\nx").unwrap();
        assert_eq!(read_from(desk.office(1), folder.path()).await.unwrap(), 2);
        assert_eq!(read_from(desk.office(2), folder.path()).await.unwrap(), 0);
        assert_eq!(desk.reason("ana@example.net").await, None);
        assert_eq!(fs::read_dir(folder.path().join("cur")).unwrap().count(), 2);
        let absent = folder.path().join("absent");
        assert_eq!(read_from(desk.office(2), &absent).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_report_of_a_real_postfix_finds_its_subscriber_by_the_token() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/mail-lab/postfix-dsn-sample.eml");
        let Ok(sample) = fs::read_to_string(path) else {
            println!("skipped: ../shared is absent");
            return;
        };
        let Verdict::Dsn(read) = bounce::read(sample.as_bytes()) else {
            panic!("the sample is a report");
        };
        let desk = Desk::new();
        let ours = sample.replace(&read.envelope_token.unwrap(), &desk.envelope("ana"));
        let words = desk.take(1, &ours).await;
        assert!(words.starts_with("ana: noted, on 1 of 2 days"), "{words}");
        assert!(desk.take(1, &sample).await.contains("without a token of ours"));
    }
}
