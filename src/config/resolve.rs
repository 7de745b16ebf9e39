//! The people of a configuration with everything filled in: groups taken apart, names of keywords replaced.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use crate::{
    model::{Definition, SharedKeyword, SubscriberId, Term},
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
    pub keywords: Vec<SharedKeyword>,
}

impl Resolved {
    /// What to look for, each with the heading of its section.
    pub fn keywords(&self) -> impl Iterator<Item = &(String, Definition)> {
        self.keywords.iter().map(|wanted| &**wanted)
    }
}

impl Config {
    /// Everyone who is configured, in the order of the files, subscribers before groups.
    pub fn subscribers(&self) -> Vec<Resolved> {
        let mut known = HashSet::new();
        let subscribers = self.subscriber.iter().map(|subscriber| {
            let id = subscriber.id.as_deref();
            (&subscriber.mailbox, id, &subscriber.interests)
        });
        let members = self.group.iter().flat_map(|group| {
            let mailboxes = group.mailboxes.iter();
            mailboxes.map(|mailbox| (mailbox, None, &group.interests))
        });
        subscribers
            .chain(members)
            .map(|(mailbox, id, interests)| self.resolve(mailbox, id, interests, &mut known))
            .collect()
    }

    fn keywords_of<'c>(&'c self, interests: &'c Interests) -> Vec<&'c str> {
        match &interests.keywords {
            Some(own) => own.iter().map(AsRef::as_ref).collect(),
            None => self.keywords.iter().map(String::as_str).collect(),
        }
    }

    /// The `[[keyword]]` tables with the number of people who refer to each.
    pub fn named_keywords(&self) -> Vec<(&str, usize)> {
        if self.keyword.is_empty() {
            return Vec::new();
        }
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let members = self.group.iter().map(|group| (&group.interests, group.mailboxes.len()));
        let subscribers = self.subscriber.iter().map(|subscriber| (&subscriber.interests, 1));
        for (interests, n_people) in subscribers.chain(members) {
            let authors = interests.authors.iter().map(String::as_str);
            let names: BTreeSet<&str> = self.keywords_of(interests).into_iter().chain(authors).collect();
            for name in names {
                *numbers.entry(name).or_default() += n_people;
            }
        }
        let n_people = |name: &str| numbers.get(name).copied().unwrap_or_default();
        self.keyword
            .iter()
            .map(|keyword| (keyword.name.as_str(), n_people(&keyword.name)))
            .collect()
    }

    /// One person; what they want is taken from `known` where somebody wants the same.
    fn resolve(
        &self,
        mailbox: &Mailbox,
        id: Option<&str>,
        interests: &Interests,
        known: &mut HashSet<SharedKeyword>,
    ) -> Resolved {
        let cross_lists = interests.cross_lists.unwrap_or(self.digest.cross_lists);
        let define = |text: &str| {
            let named = self.keyword.iter().find(|keyword| keyword.name == text);
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
            (text.to_owned(), definition)
        };
        let follow = |author: &String| (author.clone(), Definition::unrestricted(Term::author(author)));
        let keywords = self.keywords_of(interests).into_iter().map(define);
        let wanted = keywords.chain(interests.authors.iter().map(follow));
        let mut shared = |wanted: (String, Definition)| match known.get(&wanted) {
            Some(known) => Arc::clone(known),
            None => {
                let wanted = Arc::new(wanted);
                known.insert(Arc::clone(&wanted));
                wanted
            }
        };
        Resolved {
            id: SubscriberId(id.map_or_else(|| mailbox.key().into(), Arc::from)),
            address: mailbox.address.clone(),
            name: mailbox.name.clone(),
            schedule: interests.schedule.clone(),
            paused_until: interests.paused_until,
            shared: interests.shared,
            cross_lists,
            keywords: wanted.map(&mut shared).collect(),
        }
    }
}
