//! Resume keys of accepted sessions, and of stable conduits.  r[session.resume.key-rotation],
//! r[stable.resume-key]
//!
//! Of each session at most two keys are valid: the current one and its successor, minted once, at
//! the first presentation. A new session starts with the empty key as its current one: what its
//! first HelloYourself hands out is the successor of that. Of a stable conduit ClientHello,
//! ServerHello and the first frame are what Hello, HelloYourself and LetsGo are of a session.

use std::collections::HashMap;

use bytes::Bytes;

use crate::journal::random_bytes;

const KEY_BYTES: usize = 32;

#[derive(Debug)]
struct Ring<S> {
    session: S,
    current: Bytes,
    successor: Bytes,
}

/// Every valid key, and whose it is. `S` is a session as its owner knows it.
#[derive(Debug)]
pub(crate) struct Keys<S> {
    rings: HashMap<u64, Ring<S>>,
    owners: HashMap<Bytes, u64>,
}

impl<S> Default for Keys<S> {
    fn default() -> Self {
        Self { rings: HashMap::new(), owners: HashMap::new() }
    }
}

impl<S: Clone> Keys<S> {
    /// A new session, called `number` here; returns its first key.
    pub(crate) fn open(&mut self, number: u64, session: S) -> Bytes {
        let ring = Ring { session, current: Bytes::new(), successor: Bytes::new() };
        self.rings.insert(number, ring);
        self.successor(number).expect("it was just opened")
    }

    /// Whose key this is, if it is valid.
    pub(crate) fn find(&self, key: &Bytes) -> Option<(u64, S)> {
        let number = *self.owners.get(key)?;
        Some((number, self.rings[&number].session.clone()))
    }

    /// A Hello presented a valid key; returns what to hand out.
    pub(crate) fn present(&mut self, number: u64, key: &Bytes) -> Option<Bytes> {
        if self.rings.get(&number)?.successor == key {
            self.advance(number);
        }
        self.successor(number)
    }

    /// LetsGo came on a link opened with `key`; false if that key was retired meanwhile.
    pub(crate) fn bind(&mut self, number: u64, key: &Bytes) -> bool {
        let valid = self.rings.get(&number).is_some_and(|ring| ring.current == key);
        if valid {
            self.advance(number);
        }
        valid
    }

    /// The session is over.
    pub(crate) fn close(&mut self, number: u64) {
        if let Some(ring) = self.rings.remove(&number) {
            self.owners.remove(&ring.current);
            self.owners.remove(&ring.successor);
        }
    }

    fn successor(&mut self, number: u64) -> Option<Bytes> {
        let ring = self.rings.get_mut(&number)?;
        if ring.successor.is_empty() {
            ring.successor = random_bytes(KEY_BYTES);
            self.owners.insert(ring.successor.clone(), number);
        }
        Some(ring.successor.clone())
    }

    fn advance(&mut self, number: u64) {
        if let Some(ring) = self.rings.get_mut(&number) {
            let retired = std::mem::replace(&mut ring.current, std::mem::take(&mut ring.successor));
            self.owners.remove(&retired);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_successor_is_the_same_however_often_a_key_is_presented() {
        let mut keys = Keys::default();
        let first = keys.open(1, 'a');
        assert!(keys.bind(1, &Bytes::new()));
        let second = keys.present(1, &first).expect("valid");
        assert_ne!(first, second);
        assert_eq!(keys.present(1, &first), Some(second.clone()));
        assert_eq!(keys.find(&first), Some((1, 'a')));
        assert!(keys.bind(1, &first));
        assert_eq!(keys.find(&first), None);
        assert!(!keys.bind(1, &first), "it is retired");
        assert_eq!(keys.find(&second), Some((1, 'a')));
    }

    #[test]
    fn presenting_the_successor_retires_its_key() {
        let mut keys = Keys::default();
        let first = keys.open(1, 'a');
        let second = keys.present(1, &first).expect("valid");
        assert_ne!(first, second, "the first LetsGo was lost");
        let third = keys.present(1, &second).expect("valid");
        assert_eq!(keys.find(&first), None);
        assert!(keys.bind(1, &second));
        assert!(keys.find(&third).is_some());
        keys.close(1);
        assert_eq!(keys.find(&third), None);
    }
}
