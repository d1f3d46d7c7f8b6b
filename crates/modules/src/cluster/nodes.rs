//! The nodes of a cluster: calls go round all that answer, and one that did not is left out for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use baikonur_stream::Clock;
use url::Url;

/// A node that did not answer is left out this long, twice as long each time after that.
const REST_INITIAL: Duration = Duration::from_secs(1);
/// The longest rest.
const REST_MAXIMUM: Duration = Duration::from_secs(30);

/// All nodes.
pub(super) struct Nodes {
    nodes: Vec<Node>,
    next: AtomicUsize,
    clock: Arc<dyn Clock>,
}

struct Node {
    url: Url,
    /// Milliseconds of the monotonic clock until which it is left out.
    rests_until: AtomicU64,
    failures: AtomicU32,
}

impl Nodes {
    /// The nodes at `urls`, at least one.
    pub(super) fn new(urls: Vec<Url>, clock: Arc<dyn Clock>) -> Self {
        let node = |url| Node { url, rests_until: AtomicU64::new(0), failures: AtomicU32::new(0) };
        Self { nodes: urls.into_iter().map(node).collect(), next: AtomicUsize::new(0), clock }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn url(&self, place: usize) -> &Url {
        &self.nodes[place].url
    }

    /// The places of all nodes in the order in which a call should try them: from the next in turn on, those that rest
    /// behind the others, the one whose rest ends first before the rest of them.
    pub(super) fn in_turn(&self) -> Vec<usize> {
        let count = self.nodes.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed) % count;
        let now = self.now();
        let mut order: Vec<_> = (0..count).map(|step| (first + step) % count).collect();
        order.sort_by_key(|&place| {
            let until = self.nodes[place].rests_until.load(Ordering::Relaxed);
            if until <= now { 0 } else { until }
        });
        order
    }

    /// The node answered.
    pub(super) fn answered(&self, place: usize) {
        let node = &self.nodes[place];
        // Written only when it changes something: all shards share it.
        if node.failures.load(Ordering::Relaxed) > 0 {
            node.failures.store(0, Ordering::Relaxed);
            node.rests_until.store(0, Ordering::Relaxed);
        }
    }

    /// The node did not answer, or said that it cannot.
    pub(super) fn failed(&self, place: usize) {
        let node = &self.nodes[place];
        let failures = node.failures.fetch_add(1, Ordering::Relaxed);
        let rest = REST_INITIAL.saturating_mul(1 << failures.min(16)).min(REST_MAXIMUM);
        node.rests_until.store(self.now() + rest.as_millis() as u64, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.clock.monotonic().as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use baikonur_stream::Timestamp;

    use super::*;

    #[derive(Default)]
    struct SetClock(Mutex<Duration>);

    impl Clock for SetClock {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }

        fn monotonic(&self) -> Duration {
            *self.0.lock().unwrap()
        }
    }

    fn nodes() -> (Nodes, Arc<SetClock>) {
        let clock = Arc::new(SetClock::default());
        let urls = ["http://a", "http://b", "http://c"].map(|url| Url::parse(url).unwrap());
        (Nodes::new(urls.to_vec(), Arc::<SetClock>::clone(&clock)), clock)
    }

    #[test]
    fn calls_go_round() {
        let (nodes, _) = nodes();
        assert_eq!(nodes.in_turn(), [0, 1, 2]);
        assert_eq!(nodes.in_turn(), [1, 2, 0]);
        assert_eq!(nodes.in_turn(), [2, 0, 1]);
        assert_eq!(nodes.in_turn(), [0, 1, 2]);
    }

    #[test]
    fn a_node_that_failed_comes_last_until_it_has_rested() {
        let (nodes, clock) = nodes();
        nodes.failed(0);
        assert_eq!(nodes.in_turn(), [1, 2, 0]);
        *clock.0.lock().unwrap() = Duration::from_millis(500);
        nodes.failed(1);
        assert_eq!(nodes.in_turn(), [2, 0, 1]);
        nodes.failed(2);
        // All rest: the one that has rested longest is worth a try.
        assert_eq!(nodes.in_turn()[0], 0);
        *clock.0.lock().unwrap() = Duration::from_secs(2);
        assert_eq!(nodes.in_turn(), [0, 1, 2]);
    }

    #[test]
    fn rests_grow_and_end_with_an_answer() {
        let (nodes, clock) = nodes();
        for _ in 0..3 {
            nodes.failed(1);
        }
        *clock.0.lock().unwrap() = Duration::from_millis(3900);
        assert_eq!(*nodes.in_turn().last().unwrap(), 1);
        nodes.answered(1);
        assert_eq!(nodes.in_turn(), [1, 2, 0]);
        for _ in 0..100 {
            nodes.failed(1);
        }
        *clock.0.lock().unwrap() += REST_MAXIMUM;
        assert_eq!(nodes.in_turn(), [2, 0, 1]);
        assert_eq!(nodes.in_turn(), [0, 1, 2]);
    }
}
