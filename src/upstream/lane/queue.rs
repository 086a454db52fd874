//! Whose turn is it? Interactive requests before background ones; callers in turn; sessions of a caller in turn; inside a
//! session as they came, what is sent again first.

use std::collections::{HashMap, VecDeque};

use super::asker::{Asker, Patience};

/// Everybody who waits. What is emptied leaves no trace.
#[derive(Debug)]
pub struct FairQueue<W> {
    interactive: Turns<Turns<Session<W>>>,
    background: Turns<Turns<Session<W>>>,
    last_id: u64,
}

/// Where somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    background: bool,
    path: [u64; 2],
    id: u64,
}

#[derive(Debug)]
pub struct Waiter<W> {
    id: u64,
    pub retry: bool,
    patience: Patience,
    pub told: W,
}

impl<W> Default for FairQueue<W> {
    fn default() -> Self {
        Self {
            interactive: Turns::default(),
            background: Turns::default(),
            last_id: 0,
        }
    }
}

impl<W> FairQueue<W> {
    pub fn len(&self) -> usize {
        self.interactive.count().all + self.background.count().all
    }

    /// Of those who wait, how many are sent again.
    pub fn retries(&self) -> usize {
        self.interactive.count().retries + self.background.count().retries
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn push(&mut self, asker: &Asker, told: W) -> Spot {
        self.last_id += 1;
        let spot = Spot {
            background: asker.background,
            path: [asker.caller, asker.session],
            id: self.last_id,
        };
        let waiter = Waiter {
            id: spot.id,
            retry: asker.retry,
            patience: asker.patience,
            told,
        };
        self.class(spot.background).push(&spot.path, waiter);
        spot
    }

    /// The next one whose turn it is. While retries must not go they keep their turn, and others overtake them.
    pub fn pop(&mut self, retries: bool) -> Option<Waiter<W>> {
        let interactive = self.interactive.pop(retries);
        interactive.or_else(|| self.background.pop(retries))
    }

    pub fn remove(&mut self, spot: Spot) -> Option<Waiter<W>> {
        self.class(spot.background).remove(&spot.path, spot.id)
    }

    /// All whose patience this is leave.
    pub fn dismiss(&mut self, patience: Patience) -> Vec<W> {
        let mut gone = Vec::new();
        self.interactive.dismiss(patience, &mut gone);
        self.background.dismiss(patience, &mut gone);
        gone.into_iter().map(|waiter| waiter.told).collect()
    }

    /// How many go before a newcomer, if nobody else comes: of each other caller at most as many as of its own.
    pub fn ahead_of(&self, asker: &Asker) -> usize {
        let ahead = |class: &Turns<Turns<Session<W>>>| {
            let own = class.by_key.get(&asker.caller);
            let own = own.map_or(0, |sessions| sessions.count().all);
            let others = class.by_key.len() - usize::from(own > 0);
            class.count().all.min(own + others * (own + 1))
        };
        if asker.background {
            self.interactive.count().all + ahead(&self.background)
        } else {
            ahead(&self.interactive)
        }
    }

    fn class(&mut self, background: bool) -> &mut Turns<Turns<Session<W>>> {
        if background {
            &mut self.background
        } else {
            &mut self.interactive
        }
    }
}

/// Something with waiters in an order of its own.
trait Line<W>: Default {
    fn count(&self) -> Count;
    /// `path` says whose line it is, from here on down.
    fn push(&mut self, path: &[u64], waiter: Waiter<W>);
    fn pop(&mut self, retries: bool) -> Option<Waiter<W>>;
    fn remove(&mut self, path: &[u64], id: u64) -> Option<Waiter<W>>;
    fn dismiss(&mut self, patience: Patience, gone: &mut Vec<Waiter<W>>);
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    all: usize,
    retries: usize,
}

impl Count {
    fn may_go(self, retries: bool) -> bool {
        self.all > if retries { 0 } else { self.retries }
    }

    fn came(&mut self, retry: bool) {
        self.all += 1;
        self.retries += usize::from(retry);
    }

    fn went(&mut self, retry: bool) {
        self.all -= 1;
        self.retries -= usize::from(retry);
    }
}

/// Lines that take turns. Each of them holds somebody.
#[derive(Debug, Default)]
struct Turns<L> {
    order: VecDeque<u64>,
    by_key: HashMap<u64, L>,
    count: Count,
}

impl<W, L: Line<W>> Line<W> for Turns<L> {
    fn count(&self) -> Count {
        self.count
    }

    fn push(&mut self, path: &[u64], waiter: Waiter<W>) {
        let Some((&key, rest)) = path.split_first() else {
            return;
        };
        self.count.came(waiter.retry);
        let order = &mut self.order;
        let line = self.by_key.entry(key).or_insert_with(|| {
            order.push_back(key);
            L::default()
        });
        line.push(rest, waiter);
    }

    fn pop(&mut self, retries: bool) -> Option<Waiter<W>> {
        if !self.count.may_go(retries) {
            return None;
        }
        let may_go = |key| {
            let line = self.by_key.get(key);
            line.is_some_and(|line| line.count().may_go(retries))
        };
        let turn = self.order.iter().position(may_go)?;
        let key = self.order.remove(turn)?;
        let line = self.by_key.get_mut(&key)?;
        let waiter = line.pop(retries)?;
        if line.count().all == 0 {
            self.by_key.remove(&key);
        } else {
            self.order.push_back(key);
        }
        self.count.went(waiter.retry);
        Some(waiter)
    }

    fn remove(&mut self, path: &[u64], id: u64) -> Option<Waiter<W>> {
        let (key, rest) = path.split_first()?;
        let line = self.by_key.get_mut(key)?;
        let waiter = line.remove(rest, id)?;
        if line.count().all == 0 {
            self.by_key.remove(key);
            self.order.retain(|turn| turn != key);
        }
        self.count.went(waiter.retry);
        Some(waiter)
    }

    fn dismiss(&mut self, patience: Patience, gone: &mut Vec<Waiter<W>>) {
        let before = gone.len();
        self.by_key.retain(|_, line| {
            line.dismiss(patience, gone);
            line.count().all > 0
        });
        self.order.retain(|turn| self.by_key.contains_key(turn));
        for waiter in gone.iter().skip(before) {
            self.count.went(waiter.retry);
        }
    }
}

/// Retries stand in front.
#[derive(Debug)]
struct Session<W> {
    waiting: VecDeque<Waiter<W>>,
    retries: usize,
}

impl<W> Default for Session<W> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            retries: 0,
        }
    }
}

impl<W> Line<W> for Session<W> {
    fn count(&self) -> Count {
        Count {
            all: self.waiting.len(),
            retries: self.retries,
        }
    }

    fn push(&mut self, _path: &[u64], waiter: Waiter<W>) {
        if waiter.retry {
            self.waiting.insert(self.retries, waiter);
            self.retries += 1;
        } else {
            self.waiting.push_back(waiter);
        }
    }

    fn pop(&mut self, retries: bool) -> Option<Waiter<W>> {
        let first = if retries { 0 } else { self.retries };
        let waiter = self.waiting.remove(first)?;
        self.retries -= usize::from(waiter.retry);
        Some(waiter)
    }

    fn remove(&mut self, _path: &[u64], id: u64) -> Option<Waiter<W>> {
        let place = self.waiting.iter().position(|waiter| waiter.id == id)?;
        let waiter = self.waiting.remove(place)?;
        self.retries -= usize::from(waiter.retry);
        Some(waiter)
    }

    fn dismiss(&mut self, patience: Patience, gone: &mut Vec<Waiter<W>>) {
        let leaves = |waiter: &Waiter<W>| waiter.patience == patience;
        let (leaving, staying) = self.waiting.drain(..).partition::<VecDeque<_>, _>(leaves);
        self.retries = staying.iter().filter(|waiter| waiter.retry).count();
        self.waiting = staying;
        gone.extend(leaving);
    }
}
