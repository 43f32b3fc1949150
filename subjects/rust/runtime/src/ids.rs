//! Ids that only grow.  r[rpc.id.monotone]

/// What the ids of one side have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// 2, 4, …
    Even = 0,
    /// 1, 3, …
    Odd = 1,
}

impl Parity {
    /// That of the other side.
    pub fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd => Self::Even,
        }
    }

    fn first(self) -> u64 {
        2 - self as u64
    }

    fn has(self, id: u64) -> bool {
        id != 0 && id % 2 == self as u64
    }
}

/// The newest id of one kind that one side has used, 0 before the first; it outlives links.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newest {
    parity: Parity,
    id: u64,
}

impl Newest {
    pub(crate) fn new(parity: Parity) -> Self {
        Self { parity, id: 0 }
    }

    pub(crate) fn id(self) -> u64 {
        self.id
    }

    /// The id that would be minted next.
    pub(crate) fn peek(self) -> u64 {
        if self.id == 0 { self.parity.first() } else { self.id + 2 }
    }

    /// Mints an id.
    pub(crate) fn mint(&mut self) -> u64 {
        self.id = self.peek();
        self.id
    }

    /// The counterpart used `id`; false if it must not.
    pub(crate) fn see(&mut self, id: u64) -> bool {
        let legal = self.parity.has(id) && id > self.id;
        self.id = if legal { id } else { self.id };
        legal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_by_parity() {
        let mut odd = Newest::new(Parity::Odd);
        assert_eq!((odd.mint(), odd.mint(), odd.peek()), (1, 3, 5));
        let mut even = Newest::new(Parity::Even);
        assert_eq!((even.mint(), even.mint()), (2, 4));
    }

    #[test]
    fn a_counterpart_may_skip_ids_and_never_go_back() {
        let mut newest = Newest::new(Parity::Even);
        assert!(!newest.see(0) && !newest.see(3) && newest.see(4));
        assert!(!newest.see(4) && !newest.see(2) && newest.see(10));
        assert_eq!(newest.id(), 10);
    }
}
