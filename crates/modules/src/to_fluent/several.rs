//! What a delivery does with several servers, and with names whose addresses change.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{Clock, Deliver, Delivery, Module, Outcome, SystemClock, Timestamp};

use super::connect::Resolve;
use super::doubles::{ReceiverDouble, Reply, settings};
use super::faults::{batch, line};
use super::{ServerSettings, Settings, ToFluent};
use crate::batches::{intake, shard};

/// Goes on when it is told to.
#[derive(Default)]
struct HandClock(Mutex<Duration>);

impl HandClock {
    fn pass(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

/// Names with the addresses that a test gives them.
#[derive(Default)]
struct Names(Mutex<HashMap<String, Vec<SocketAddr>>>);

impl Names {
    fn set(&self, name: &str, addresses: &[SocketAddr]) {
        self.0.lock().unwrap().insert(name.to_owned(), addresses.to_vec());
    }
}

#[async_trait]
impl Resolve for Names {
    async fn addresses(&self, host: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        let known = self.0.lock().unwrap().get(host).cloned();
        known.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such name"))
    }
}

/// A module whose servers are called by their names here.
struct Scene {
    clock: Arc<HandClock>,
    names: Arc<Names>,
    deliverer: Box<dyn Deliver>,
}

impl Scene {
    /// Of each server: its name, its weight, whether it is on standby.
    async fn new(servers: &[(&str, u32, bool)], settings: Settings) -> Self {
        let server = |&(name, weight, standby): &(&str, u32, bool)| ServerSettings {
            address: format!("fluent://{name}"),
            weight,
            standby,
        };
        let servers = servers.iter().map(server).collect();
        let settings = Settings { servers, destination: String::new(), ..settings };
        let (clock, names) = (Arc::<HandClock>::default(), Arc::<Names>::default());
        let intake = Arc::new(intake("fluent"));
        let (by, with) = (Arc::clone(&clock), Arc::clone(&names));
        let module = ToFluent::with_resolver(settings, intake, by, with).unwrap();
        Self { clock, names, deliverer: module.open(&shard()).await.unwrap() }
    }

    async fn deliver(&mut self, types: &[&str]) -> Delivery {
        self.deliverer.deliver(&batch(types)).await
    }
}

fn address(receiver: &ReceiverDouble) -> SocketAddr {
    receiver.url.strip_prefix("fluent://").unwrap().parse().unwrap()
}

/// Where nobody listens.
fn nobody() -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1))
}

#[tokio::test]
async fn batches_are_shared_by_weight() {
    let [a, b] = [ReceiverDouble::start(&[]).await, ReceiverDouble::start(&[]).await];
    let mut scene = Scene::new(&[("a.test", 3, false), ("b.test", 1, false)], settings()).await;
    scene.names.set("a.test", &[address(&a)]);
    scene.names.set("b.test", &[address(&b)]);
    for _ in 0..8 {
        assert_eq!(scene.deliver(&["x"]).await, Delivery::delivered());
    }
    assert_eq!((a.texts().len(), b.texts().len()), (6, 2));
    assert_eq!((a.connections(), b.connections()), (1, 1));
}

#[tokio::test]
async fn the_standby_takes_over_and_gives_back_after_the_cool_off() {
    let [a, b] = [ReceiverDouble::start(&[]).await, ReceiverDouble::start(&[]).await];
    let mut scene = Scene::new(&[("a.test", 1, false), ("b.test", 1, true)], settings()).await;
    scene.names.set("a.test", &[nobody()]);
    scene.names.set("b.test", &[address(&b)]);
    for _ in 0..2 {
        assert_eq!(scene.deliver(&["x"]).await, Delivery::delivered());
    }
    scene.names.set("a.test", &[address(&a)]);
    assert_eq!(scene.deliver(&["x"]).await, Delivery::delivered());
    assert_eq!((a.texts().len(), b.texts().len()), (0, 3));
    scene.clock.pass(10);
    assert_eq!(scene.deliver(&["x"]).await, Delivery::delivered());
    assert_eq!((a.texts().len(), b.texts().len()), (1, 3));
}

#[tokio::test]
async fn what_one_server_loses_the_other_gets() {
    let a = ReceiverDouble::start(&[Reply::AcknowledgeAndCut, Reply::Cut, Reply::Cut]).await;
    let b = ReceiverDouble::start(&[]).await;
    let mut scene = Scene::new(&[("a.test", 1, false), ("b.test", 1, false)], settings()).await;
    scene.names.set("a.test", &[address(&a)]);
    scene.names.set("b.test", &[address(&b)]);
    assert_eq!(scene.deliver(&["x", "y", "z"]).await, Delivery::delivered());
    assert_eq!(a.texts(), [[line("x")]]);
    assert_eq!(b.texts(), [[line("y")], [line("z")]]);
}

#[tokio::test]
async fn when_none_can_be_had_each_is_told() {
    let mut scene = Scene::new(&[("a.test", 1, false), ("b.test", 1, true)], settings()).await;
    scene.names.set("a.test", &[nobody()]);
    for _ in 0..2 {
        let delivery = scene.deliver(&["x"]).await;
        let Outcome::Failed { reason, .. } = &delivery.outcome else { panic!("{delivery:?}") };
        assert!(reason.contains("fluent://a.test:24224: cannot connect: "), "{reason}");
        assert!(reason.contains("fluent://b.test:24224: cannot connect: no such name"), "{reason}");
    }
}

#[tokio::test]
async fn an_address_that_does_not_answer_does_not_keep_from_the_next() {
    let a = ReceiverDouble::start(&[]).await;
    let mut scene = Scene::new(&[("a.test", 1, false)], settings()).await;
    scene.names.set("a.test", &[nobody(), address(&a)]);
    assert_eq!(scene.deliver(&["x"]).await, Delivery::delivered());
    scene.names.set("a.test", &[]);
    scene.clock.pass(600);
    let delivery = scene.deliver(&["x"]).await;
    let Outcome::Failed { reason, .. } = &delivery.outcome else { panic!("{delivery:?}") };
    assert!(reason.contains("its name has no address"), "{reason}");
}

#[tokio::test]
async fn a_name_is_looked_up_again_when_the_connection_breaks_or_is_old() {
    let old = ReceiverDouble::start(&[]).await;
    let new = ReceiverDouble::start(&[Reply::Acknowledge, Reply::AcknowledgeAndCut]).await;
    let mut scene = Scene::new(&[("a.test", 1, false)], settings()).await;
    scene.names.set("a.test", &[address(&old)]);
    assert_eq!(scene.deliver(&["1"]).await, Delivery::delivered());
    // The old receiver still listens: only the age of the connection leads to the new one.
    scene.names.set("a.test", &[address(&new)]);
    scene.clock.pass(599);
    assert_eq!(scene.deliver(&["2"]).await, Delivery::delivered());
    scene.clock.pass(1);
    assert_eq!(scene.deliver(&["3"]).await, Delivery::delivered());
    assert_eq!(
        (old.texts(), new.texts()),
        (vec![vec![line("1")], vec![line("2")]], vec![vec![line("3")]])
    );
    // Now the new one breaks the connection in the middle of a batch.
    scene.names.set("a.test", &[address(&old)]);
    assert_eq!(scene.deliver(&["4", "5"]).await, Delivery::delivered());
    assert_eq!(new.texts().last(), Some(&vec![line("4")]));
    assert_eq!(old.texts().last(), Some(&vec![line("5")]));
}

#[tokio::test]
async fn without_keep_alive_each_batch_has_a_connection() {
    let receiver = ReceiverDouble::start(&[]).await;
    let settings =
        Settings { destination: receiver.url.clone(), keep_alive_seconds: 0, ..settings() };
    let clock = Arc::new(SystemClock::new());
    let module = ToFluent::new(settings, Arc::new(intake("fluent")), clock).unwrap();
    let mut deliverer = module.open(&shard()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(deliverer.deliver(&batch(&["a", "b"])).await, Delivery::delivered());
    }
    assert_eq!(receiver.connections(), 3);
}
