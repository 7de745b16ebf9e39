//! Values only: no async, no input or output, no clock.
//!
//! What the other modules hand to each other: papers and their identifiers, what subscribers asked
//! for, what happened to each paper for each of them, slots, and digests on their way.

mod coverage;
mod identifier;
mod ledger;
mod outbox;
mod paper;
mod relay;
mod silence;
mod slot;
mod subscriber;
mod suppression;

pub use coverage::{CoverageNote, IncompleteKeyword, KeywordCoverage};
pub use identifier::{ArxivId, ParseArxivIdError, VersionedId};
pub use ledger::{Generation, Pair, Pending, Queued, Replacement, Settled, SubscriberState, Welcome};
pub use outbox::{
    Attempt, Changes, DigestId, DigestKind, DigestRecord, Ending, EntryState, Lease, LeaseEnd, OutboxEntry, Outcome,
    PaperRecord, SectionRecord, Shown, Stage,
};
pub use paper::{Author, Paper};
pub use relay::{RelayFailure, RelayTrouble};
pub use silence::Silence;
pub use slot::{Slot, WorkerId};
pub use subscriber::{Definition, SharedKeyword, SubscriberId, Term, TermKind};
pub use suppression::{Suppression, SuppressionReason};
