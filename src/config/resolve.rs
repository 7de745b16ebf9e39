//! The people of a configuration with everything filled in: groups taken apart, names of keywords replaced.

use chrono::{DateTime, Utc};

use crate::{
    model::{Definition, SubscriberId, Term},
    schedule::Schedule,
};

use super::{Config, category::with_aliases, mailbox::Mailbox, people::Interests};

/// One person or list, as the rest of the program sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The configured id, else the address in lower case.
    pub id: SubscriberId,
    /// The address, its domain in ASCII form.
    pub address: String,
    /// The name, if one is known.
    pub name: Option<String>,
    /// When digests go out, and in which zone.
    pub schedule: Schedule,
    /// No digest goes out before this moment.
    pub paused_until: Option<DateTime<Utc>>,
    /// Whether the address is a list's: no one-click, no token links.
    pub shared: bool,
    /// Whether categories other than the primary one count.
    pub cross_lists: bool,
    /// What to look for, each with the heading of its section; never empty.
    pub keywords: Vec<(String, Definition)>,
}

impl Config {
    /// Everyone who is configured, in the order of the files, subscribers before groups.
    pub fn subscribers(&self) -> Vec<Resolved> {
        let subscribers = self.subscriber.iter().map(|subscriber| {
            let id = subscriber.id.as_deref();
            self.resolve(&subscriber.mailbox, id, &subscriber.interests)
        });
        let members = self.group.iter().flat_map(|group| {
            let resolve = |mailbox| self.resolve(mailbox, None, &group.interests);
            group.mailboxes.iter().map(resolve)
        });
        subscribers.chain(members).collect()
    }

    /// The `[[keyword]]` tables with the number of people who refer to each.
    pub fn named_keywords(&self) -> Vec<(&str, usize)> {
        let people = self.subscribers();
        self.keyword
            .iter()
            .map(|keyword| {
                let is_referred =
                    |person: &&Resolved| person.keywords.iter().any(|(heading, _)| *heading == keyword.name);
                (keyword.name.as_str(), people.iter().filter(is_referred).count())
            })
            .collect()
    }

    fn resolve(&self, mailbox: &Mailbox, id: Option<&str>, interests: &Interests) -> Resolved {
        let cross_lists = interests.cross_lists.unwrap_or(self.digest.cross_lists);
        let define = |text: &String| {
            let named = self.keyword.iter().find(|keyword| keyword.name == *text);
            let term = named.map_or_else(|| Term::phrase(text), |keyword| keyword.term.clone());
            let own = named.map_or(&[][..], |keyword| &keyword.categories);
            let mut categories: Vec<Vec<String>> = [own, &interests.categories]
                .into_iter()
                .filter(|patterns| !patterns.is_empty())
                .map(with_aliases)
                .collect();
            categories.dedup();
            let own = named.map_or(&[][..], |keyword| &keyword.exclude);
            let mut exclude: Vec<Term> = own.iter().chain(&interests.exclude).map(Term::phrase).collect();
            // The order in which they are written must not make an equal definition look changed.
            exclude.sort_unstable();
            exclude.dedup();
            let definition = Definition {
                term,
                exclude,
                // Without categories the flag decides nothing, and must not make a definition look changed.
                cross_lists: cross_lists || categories.is_empty(),
                categories,
            };
            (text.clone(), definition)
        };
        let follow = |author: &String| (author.clone(), Definition::unrestricted(Term::author(author)));
        let keywords = interests.keywords.as_ref().unwrap_or(&self.keywords);
        Resolved {
            id: SubscriberId(id.map_or_else(|| mailbox.key(), str::to_owned)),
            address: mailbox.address.clone(),
            name: mailbox.name.clone(),
            schedule: interests.schedule.clone(),
            paused_until: interests.paused_until,
            shared: interests.shared,
            cross_lists,
            keywords: keywords
                .iter()
                .map(define)
                .chain(interests.authors.iter().map(follow))
                .collect(),
        }
    }
}
