//! Which plugins a request goes through, and in what order.
//!
//! An instance is bound to a route, a service, a consumer, several of them, or none, which makes it global. Of one kind
//! of plugin the most narrowly bound instance runs, by this order: route, service and consumer; route and consumer;
//! service and consumer; route and service; consumer; route; service; global. Kinds run in order of priority.
//!
//! Instances that no consumer is part of are kept in sorted lists, one for each binding, and a request's order is a
//! merge of at most four of them. Those that a consumer is part of are looked up when their kind's turn comes, since
//! who the consumer is may have been found out only just before.

use std::sync::Arc;

use weir_model::typed::Protocol;
use weir_plugin::{Phases, Plugin};

use super::shared_map::{Key, SharedMap};

/// An entity's primary key.
pub(super) type Id = [u8; 16];

/// A plugin's place in the order: by priority, and by name where that is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Rank(pub(super) u16);

/// A configured plugin, ready to run.
#[derive(Clone)]
pub(crate) struct Instance {
    pub(crate) id: Id,
    pub(crate) rank: Rank,
    pub(crate) phases: Phases,
    pub(crate) plugin: Arc<dyn Plugin>,
    /// The protocols it applies to, a bit each.
    protocols: u8,
}

impl Instance {
    pub(super) fn new(id: Id, rank: Rank, protocols: &[Protocol], plugin: Arc<dyn Plugin>) -> Self {
        let protocols = protocols.iter().fold(0, |bits, protocol| bits | 1 << *protocol as u8);
        Self { id, rank, phases: plugin.phases(), plugin, protocols }
    }

    fn applies(&self, protocol: Protocol) -> bool {
        self.protocols & (1 << protocol as u8) != 0
    }
}

/// What an instance is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) route: Option<Id>,
    pub(super) service: Option<Id>,
    pub(super) consumer: Option<Id>,
}

/// Where an instance that a consumer is part of is found.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ConsumerKey {
    rank: Rank,
    scope: [Option<Id>; 3],
}

impl Key for ConsumerKey {
    fn hash(&self) -> u64 {
        self.scope.iter().fold(u64::from(self.rank.0), |hash, id| {
            hash.rotate_left(21) ^ id.as_ref().map_or(0x5851_f42d_4c95_7f2d, Key::hash)
        })
    }
}

/// A pair of primary keys.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pair(Id, Id);

impl Key for Pair {
    fn hash(&self) -> u64 {
        self.0.hash().rotate_left(29) ^ self.1.hash()
    }
}

/// Instances of one binding, in order.
type List = Arc<[Instance]>;

/// All plugins of a configuration.
#[derive(Clone)]
pub(super) struct Plugins {
    global: List,
    service: SharedMap<Id, List>,
    route: SharedMap<Id, List>,
    route_service: SharedMap<Pair, List>,
    consumer: SharedMap<ConsumerKey, Instance>,
    /// The ranks that `consumer` holds any instance of, in order, with how many.
    consumer_ranks: Arc<[(Rank, usize)]>,
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            global: Arc::new([]),
            service: SharedMap::default(),
            route: SharedMap::default(),
            route_service: SharedMap::default(),
            consumer: SharedMap::default(),
            consumer_ranks: Arc::new([]),
        }
    }
}

impl Plugins {
    pub(super) fn insert(&mut self, scope: Scope, instance: Instance) {
        if scope.consumer.is_some() {
            self.count(instance.rank, 1);
            self.consumer.insert(consumer_key(instance.rank, scope), instance);
            return;
        }
        self.change(scope, |list| {
            let at = list.partition_point(|other| other.rank < instance.rank);
            list.insert(at, instance);
        });
    }

    pub(super) fn remove(&mut self, scope: Scope, rank: Rank, id: &Id) {
        if scope.consumer.is_some() {
            if self.consumer.remove(&consumer_key(rank, scope)).is_some() {
                self.count(rank, -1);
            }
            return;
        }
        self.change(scope, |list| list.retain(|other| other.id != *id));
    }

    fn change(&mut self, scope: Scope, edit: impl FnOnce(&mut Vec<Instance>)) {
        fn in_map<K: Key>(map: &mut SharedMap<K, List>, key: K, edit: impl FnOnce(&mut Vec<Instance>)) {
            let mut list = map.get(&key).map(|list| list.to_vec()).unwrap_or_default();
            edit(&mut list);
            if list.is_empty() {
                map.remove(&key);
            } else {
                map.insert(key, list.into());
            }
        }
        match (scope.route, scope.service) {
            (Some(route), Some(service)) => in_map(&mut self.route_service, Pair(route, service), edit),
            (Some(route), None) => in_map(&mut self.route, route, edit),
            (None, Some(service)) => in_map(&mut self.service, service, edit),
            (None, None) => {
                let mut list = self.global.to_vec();
                edit(&mut list);
                self.global = list.into();
            }
        }
    }

    fn count(&mut self, rank: Rank, by: isize) {
        let mut ranks = self.consumer_ranks.to_vec();
        match ranks.binary_search_by_key(&rank, |(rank, _)| *rank) {
            Ok(at) => {
                ranks[at].1 = ranks[at].1.saturating_add_signed(by);
                if ranks[at].1 == 0 {
                    ranks.remove(at);
                }
            }
            Err(at) => ranks.insert(at, (rank, 1)),
        }
        self.consumer_ranks = ranks.into();
    }

    /// The global instances, in order.
    pub(super) fn global(&self) -> &[Instance] {
        &self.global
    }

    /// The order for a request of this route and service.
    pub(super) fn order(&self, protocol: Protocol, route: Id, service: Option<Id>) -> Order<'_> {
        let lists = [
            &*self.global,
            instances(service.and_then(|service| self.service.get(&service))),
            instances(self.route.get(&route)),
            instances(service.and_then(|service| self.route_service.get(&Pair(route, service)))),
        ];
        Order { plugins: self, protocol, route, service, lists, ranks: &self.consumer_ranks }
    }
}

fn instances(list: Option<&List>) -> &[Instance] {
    list.map_or(&[], |list| list)
}

fn consumer_key(rank: Rank, scope: Scope) -> ConsumerKey {
    ConsumerKey { rank, scope: [scope.route, scope.service, scope.consumer] }
}

/// A request's way through the plugins, a step at a time.
pub(crate) struct Order<'a> {
    plugins: &'a Plugins,
    protocol: Protocol,
    route: Id,
    service: Option<Id>,
    /// What is left of the lists: global, of the service, of the route, of both.
    lists: [&'a [Instance]; 4],
    ranks: &'a [(Rank, usize)],
}

impl<'a> Order<'a> {
    /// The next instance, if the consumer is who it is known to be by now.
    pub(crate) fn next(&mut self, consumer: Option<&Id>) -> Option<&'a Instance> {
        loop {
            let heads = self.lists.iter().filter_map(|list| list.first().map(|instance| instance.rank));
            let rank = heads.chain(self.ranks.first().map(|(rank, _)| *rank)).min()?;
            let mut bound: [Option<&'a Instance>; 4] = [None; 4];
            for (list, slot) in self.lists.iter_mut().zip(&mut bound) {
                if let Some((first, rest)) = list.split_first()
                    && first.rank == rank
                {
                    *list = rest;
                    *slot = first.applies(self.protocol).then_some(first);
                }
            }
            let by_consumer = self.ranks.first().is_some_and(|(first, _)| *first == rank);
            if by_consumer {
                self.ranks = &self.ranks[1..];
            }
            let consumer = consumer.filter(|_| by_consumer);
            let [global, service, route, both] = bound;
            let chosen = consumer
                .and_then(|c| {
                    self.of_consumer(rank, Some(self.route), self.service, c)
                        .or_else(|| self.of_consumer(rank, Some(self.route), None, c))
                        .or_else(|| self.service.and_then(|s| self.of_consumer(rank, None, Some(s), c)))
                })
                .or(both)
                .or_else(|| consumer.and_then(|c| self.of_consumer(rank, None, None, c)))
                .or(route)
                .or(service)
                .or(global);
            if chosen.is_some() {
                return chosen;
            }
        }
    }

    fn of_consumer(
        &self,
        rank: Rank,
        route: Option<Id>,
        service: Option<Id>,
        consumer: &Id,
    ) -> Option<&'a Instance> {
        let key = ConsumerKey { rank, scope: [route, service, Some(*consumer)] };
        self.plugins.consumer.get(&key).filter(|instance| instance.applies(self.protocol))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Plugin for Nothing {
        fn phases(&self) -> Phases {
            Phases::default()
        }
    }

    const ROUTE: Id = [1; 16];
    const SERVICE: Id = [2; 16];
    const CONSUMER: Id = [3; 16];

    fn instance(id: u8, rank: u16) -> Instance {
        Instance::new([id; 16], Rank(rank), &[Protocol::Http], Arc::new(Nothing))
    }

    fn scope(bits: u8) -> Scope {
        let pick = |bit: u8, id: Id| (bits & bit != 0).then_some(id);
        Scope { route: pick(4, ROUTE), service: pick(2, SERVICE), consumer: pick(1, CONSUMER) }
    }

    fn order(plugins: &Plugins, consumer: Option<Id>) -> Vec<u8> {
        let mut order = plugins.order(Protocol::Http, ROUTE, Some(SERVICE));
        std::iter::from_fn(|| order.next(consumer.as_ref())).map(|instance| instance.id[0]).collect()
    }

    #[test]
    fn the_most_narrowly_bound_instance_runs() {
        // From the widest binding to the narrowest: global, service, route, consumer, both, and with the consumer.
        let bindings = [0b000, 0b010, 0b100, 0b001, 0b110, 0b011, 0b101, 0b111];
        let mut plugins = Plugins::default();
        for (id, bits) in (1u8..9).zip(bindings) {
            plugins.insert(scope(bits), instance(id, 5));
            assert_eq!(order(&plugins, Some(CONSUMER)), [id], "with a consumer, binding {bits:03b}");
        }
        assert_eq!(order(&plugins, None), [5], "without a consumer, route and service");
        for (id, bits) in (1u8..9).zip(bindings).rev() {
            assert_eq!(order(&plugins, Some(CONSUMER)), [id]);
            plugins.remove(scope(bits), Rank(5), &[id; 16]);
        }
        assert!(order(&plugins, Some(CONSUMER)).is_empty());
    }

    #[test]
    fn kinds_run_in_order_wherever_they_are_bound() {
        let mut plugins = Plugins::default();
        for (id, rank, bits) in [(3, 30, 0b010), (1, 10, 0b000), (4, 40, 0b100), (2, 20, 0b001)] {
            plugins.insert(scope(bits), instance(id, rank));
        }
        assert_eq!(order(&plugins, Some(CONSUMER)), [1, 2, 3, 4]);
        assert_eq!(order(&plugins, None), [1, 3, 4]);
        assert_eq!(order(&plugins, Some([9; 16])), [1, 3, 4]);
    }

    #[test]
    fn an_instance_for_other_protocols_gives_way() {
        let mut plugins = Plugins::default();
        plugins.insert(scope(0b000), instance(1, 5));
        let other = Instance::new([2; 16], Rank(5), &[Protocol::Grpc], Arc::new(Nothing));
        plugins.insert(scope(0b100), other);
        assert_eq!(order(&plugins, None), [1]);
    }

    #[test]
    fn a_consumer_who_turns_up_on_the_way_counts_from_there() {
        let mut plugins = Plugins::default();
        plugins.insert(scope(0b000), instance(1, 10));
        plugins.insert(scope(0b000), instance(2, 20));
        plugins.insert(scope(0b001), instance(3, 20));
        let mut order = plugins.order(Protocol::Http, ROUTE, Some(SERVICE));
        assert_eq!(order.next(None).map(|i| i.id[0]), Some(1));
        assert_eq!(order.next(Some(&CONSUMER)).map(|i| i.id[0]), Some(3));
    }
}
