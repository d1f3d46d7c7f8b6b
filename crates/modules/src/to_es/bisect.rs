//! What is known while a request that the cluster always fails as a whole is cut down to the documents that make it fail.
//!
//! One document can be too much for a coordinating node: the request then ends with 500, or a circuit breaker's 429,
//! whatever else is in it. Whether it is a document or the cluster shows in the other pieces: some of them pass, or none.

/// What the failures of pieces may weigh, each as many requests as it took, before the cluster is what fails: enough to
/// get down to one document of 10,000 and to try its neighbours.
const FRUITLESS_MAX: u32 = 24;

/// How many of the requests that one piece took count at most.
const PIECE_MAX: u32 = 5;

/// An event whose document failed alone, and what the cluster said.
pub(super) type Suspect = (usize, String);

/// The pieces of one request.
#[derive(Debug, Default)]
pub(super) struct Bisect {
    /// Whether a piece passed.
    passed: bool,
    /// What the failures weigh since the last piece that passed.
    fruitless: u32,
    suspects: Vec<Suspect>,
    /// Of these, how many failed before a piece passed.
    proven: usize,
}

impl Bisect {
    /// A piece passed.
    pub(super) fn passed(&mut self) {
        (self.passed, self.fruitless, self.proven) = (true, 0, self.suspects.len());
    }

    /// A piece failed, with so many requests; tells whether another one is worth trying.
    pub(super) fn failed(&mut self, requests: u32) -> bool {
        self.fruitless += requests.min(PIECE_MAX);
        self.fruitless <= FRUITLESS_MAX
    }

    /// A document failed alone, with so many requests; tells whether another piece is worth trying.
    pub(super) fn failed_alone(&mut self, event: usize, reason: String, requests: u32) -> bool {
        self.suspects.push((event, reason));
        self.failed(requests)
    }

    /// Those that are to blame, and those that perhaps the cluster is to blame for. `is_whole` tells whether the rest of
    /// the request got through: else what failed last may have failed for the same reason as the rest.
    pub(super) fn decide(mut self, is_whole: bool) -> (Vec<Suspect>, Vec<Suspect>) {
        if is_whole && self.passed {
            return (self.suspects, Vec::new());
        }
        let waiting = self.suspects.split_off(self.proven);
        (self.suspects, waiting)
    }
}
