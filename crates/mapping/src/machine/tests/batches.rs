//! How batches are cut: by count, by bytes, by time, and by the room in memory.

use super::*;

#[test]
fn batches_are_cut_by_count_and_the_checkpoint_follows_each() {
    let mut world = World::new(10);
    world.run(|| false);
    assert_eq!(world.delivered, [vec![1, 2, 3, 4], vec![5, 6, 7, 8], vec![9, 10]]);
    let after = |n| Some(Checkpoint::After(number(n)));
    let start = Some(Checkpoint::At(number(1)));
    assert_eq!(world.checkpoints, [start, after(4), after(8), after(10)]);
}

#[test]
fn without_room_for_more_a_batch_is_handed_over_before_it_is_full() {
    let mut world = World::new(3);
    world.settings.batching_window = Duration::from_secs(20);
    world.now.room = 0;
    world.run(|| false);
    assert_eq!(world.delivered, [vec![1, 2, 3]]);
    assert!(world.now.monotonic < Duration::from_secs(20), "{:?}", world.now);
}

#[test]
fn the_room_that_a_delivered_batch_gives_back_is_no_lack_of_room() {
    let mut world = World::new(8);
    world.hold = 100;
    world.rejects = |n| n == 2;
    for record in &mut world.stream {
        record.data = Bytes::from(vec![b'x'; 1000]);
    }
    let mut machine = world.machine();
    let mut action = machine.begin();
    while world.attempts.len() < 2 {
        let event = world.answer(&machine, action);
        // The driver counts before the step: the batch under delivery takes up all there is.
        world.now.room = 4_004_usize.saturating_sub(machine.bytes());
        action = machine.step(world.now, event);
    }
    assert!(world.objects.is_empty(), "{:?}", world.objects);
}

#[test]
fn batches_are_cut_by_bytes_and_a_larger_record_goes_alone() {
    let mut world = World::new(6);
    world.stream[2].data = Bytes::from(vec![b'x'; 50]);
    world.settings.batch_bytes = 6;
    world.run(|| false);
    assert_eq!(world.delivered, [vec![1, 2], vec![3], vec![4, 5, 6]]);
}

#[test]
fn a_batching_window_waits_for_a_full_batch_but_not_longer() {
    let mut world = World::new(3);
    world.settings.batching_window = Duration::from_secs(20);
    world.run(|| false);
    assert_eq!(world.delivered, [vec![1, 2, 3]]);
    assert!(world.now.monotonic >= Duration::from_secs(20), "{:?}", world.now);
}
