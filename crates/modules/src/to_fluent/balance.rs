//! Which of several servers gets the next batch: by weight among those that work, a standby while
//! none of them does, and one that failed when there is nothing better.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::endpoint::{Endpoint, ServerPlace};
use super::settings::Settings;

/// A server that goes on failing is left out for so many times the first wait, at most.
const WAITS_MAX: u32 = 8;

/// The servers of a module, as all its shards see them.
pub(super) struct Servers {
    places: Vec<ServerPlace>,
    recover_wait: Duration,
    states: Mutex<Vec<State>>,
}

/// How a server does.
#[derive(Debug, Clone, Default)]
struct State {
    /// Grows by the weight at each choice, and shrinks by all weights when chosen: so choices are
    /// spread evenly, and not in rows.
    credit: i64,
    /// Up to when it is left out, by the monotonic clock.
    left_out: Option<Duration>,
    /// Failures since it last worked.
    failures: u32,
}

/// A server's turn: where it is, and what it is called here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice(pub(super) usize);

impl Servers {
    pub(super) fn new(settings: &Settings, places: Vec<ServerPlace>) -> Self {
        let states = Mutex::new(vec![State::default(); places.len()]);
        Self { places, recover_wait: settings.recover_wait(), states }
    }

    pub(super) fn count(&self) -> usize {
        self.places.len()
    }

    pub(super) fn endpoint(&self, choice: Choice) -> &Endpoint {
        &self.places[choice.0].endpoint
    }

    /// Whose turn it is, apart from those that were `tried` to no avail; none when that is all.
    pub(super) fn choose(&self, now: Duration, tried: &[Choice]) -> Option<Choice> {
        let mut states = self.states();
        let is_left = |place: &usize| !tried.contains(&Choice(*place));
        let works = |place: &usize| states[*place].left_out.is_none_or(|until| until <= now);
        let working: Vec<usize> = (0..self.places.len()).filter(is_left).filter(works).collect();
        let mut turn: Vec<usize> =
            working.iter().copied().filter(|place| !self.places[*place].standby).collect();
        if turn.is_empty() {
            turn = working;
        }
        if turn.is_empty() {
            // None works: the one whose wait ends first is as good a guess as any.
            let left = (0..self.places.len()).filter(is_left);
            return left.min_by_key(|place| states[*place].left_out).map(Choice);
        }
        let weight = |place: usize| i64::from(self.places[place].weight);
        for &place in &turn {
            states[place].credit += weight(place);
        }
        let chosen = turn.iter().copied().rev().max_by_key(|place| states[*place].credit)?;
        states[chosen].credit -= turn.iter().copied().map(weight).sum::<i64>();
        Some(Choice(chosen))
    }

    /// A server did not take what it was sent; gives how long it is left out.
    pub(super) fn failed(&self, choice: Choice, now: Duration) -> Duration {
        let mut states = self.states();
        let state = &mut states[choice.0];
        // While it is left out, failures are those of shards that did not know yet.
        if let Some(until) = state.left_out.filter(|until| *until > now) {
            return until - now;
        }
        let wait = self.recover_wait * 2_u32.saturating_pow(state.failures).min(WAITS_MAX);
        state.failures = state.failures.saturating_add(1);
        state.left_out = Some(now + wait);
        wait
    }

    /// A server took what it was sent; gives whether that is news.
    pub(super) fn worked(&self, choice: Choice) -> bool {
        let mut states = self.states();
        let state = &mut states[choice.0];
        state.left_out = None;
        std::mem::take(&mut state.failures) > 0
    }

    fn states(&self) -> MutexGuard<'_, Vec<State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::ServerSettings;
    use super::*;

    fn servers(places: &[(u32, bool)]) -> Servers {
        let server = |(number, (weight, standby)): (usize, &(u32, bool))| ServerSettings {
            address: format!("host{number}"),
            weight: *weight,
            standby: *standby,
        };
        let servers = places.iter().enumerate().map(server).collect();
        let settings = Settings { servers, recover_seconds: 10, ..Settings::default() };
        Servers::new(&settings, settings.places().unwrap())
    }

    fn turns(servers: &Servers, now: u64, count: usize) -> Vec<usize> {
        let now = Duration::from_secs(now);
        (0..count).map(|_| servers.choose(now, &[]).unwrap().0).collect()
    }

    fn fail(servers: &Servers, place: usize, now: u64) -> u64 {
        servers.failed(Choice(place), Duration::from_secs(now)).as_secs()
    }

    #[test]
    fn turns_are_in_proportion_to_weights_and_spread() {
        let servers = servers(&[(3, false), (1, false)]);
        assert_eq!(turns(&servers, 0, 8), [0, 0, 1, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn a_standby_has_turns_only_while_none_of_the_others_works() {
        let servers = servers(&[(1, false), (1, false), (1, true)]);
        assert_eq!(turns(&servers, 0, 4), [0, 1, 0, 1]);
        fail(&servers, 0, 0);
        assert_eq!(turns(&servers, 1, 2), [1, 1]);
        fail(&servers, 1, 5);
        assert_eq!(turns(&servers, 5, 2), [2, 2]);
        // The first is back after ten seconds, the second five seconds later.
        assert_eq!(turns(&servers, 10, 2), [0, 0]);
        let late = turns(&servers, 15, 4);
        assert!(late.contains(&0) && late.contains(&1) && !late.contains(&2), "{late:?}");
    }

    #[test]
    fn who_goes_on_failing_is_left_out_longer_until_it_works() {
        let servers = servers(&[(1, false), (1, false)]);
        assert_eq!(fail(&servers, 0, 0), 10);
        // Another shard finds out meanwhile.
        assert_eq!(fail(&servers, 0, 4), 6);
        let mut now = 10;
        for expected in [20, 40, 80, 80, 80] {
            assert_eq!(fail(&servers, 0, now), expected);
            now += expected;
        }
        assert!(servers.worked(Choice(0)));
        assert!(!servers.worked(Choice(0)));
        assert_eq!(fail(&servers, 0, now), 10);
    }

    #[test]
    fn when_none_works_each_is_tried_once_the_one_with_the_shortest_wait_first() {
        let servers = servers(&[(1, false), (1, true), (9, false)]);
        for (place, now) in [(0, 2), (1, 1), (2, 3)] {
            fail(&servers, place, now);
        }
        let mut tried = Vec::new();
        while let Some(choice) = servers.choose(Duration::from_secs(4), &tried) {
            tried.push(choice);
        }
        assert_eq!(tried, [Choice(1), Choice(0), Choice(2)]);
    }
}
