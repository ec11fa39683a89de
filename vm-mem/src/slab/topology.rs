//! Which processor belongs to which memory node.

use std::ffi::CStr;

use super::os;

/// The most processors that are told apart; those beyond share with lower ones.
const MAX_CPUS: usize = 256;
/// The most memory nodes that are told apart.
pub(super) const MAX_NODES: usize = 8;

/// Processors and the memory nodes that they are near to.
#[derive(Clone, Copy)]
pub struct Topology {
    cpus: usize,
    nodes: usize,
    node_of: [u8; MAX_CPUS],
    current: fn() -> usize,
}

impl std::fmt::Debug for Topology {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topology").field("node_of", &&self.node_of[..self.cpus]).finish_non_exhaustive()
    }
}

impl Topology {
    /// What `/sys/devices/system/node` says of this host; one node if it says nothing. At most 256 processors and 8 nodes
    /// are told apart.
    #[must_use]
    pub fn of_host() -> Topology {
        let cpus = os::cpus().min(MAX_CPUS);
        let mut topology = Topology { cpus, nodes: 1, node_of: [0; MAX_CPUS], current: os::current_cpu };
        const LISTS: [&CStr; MAX_NODES] = [
            c"/sys/devices/system/node/node0/cpulist",
            c"/sys/devices/system/node/node1/cpulist",
            c"/sys/devices/system/node/node2/cpulist",
            c"/sys/devices/system/node/node3/cpulist",
            c"/sys/devices/system/node/node4/cpulist",
            c"/sys/devices/system/node/node5/cpulist",
            c"/sys/devices/system/node/node6/cpulist",
            c"/sys/devices/system/node/node7/cpulist",
        ];
        for (node, path) in LISTS.into_iter().enumerate() {
            let mut text = [0; 512];
            let Some(length) = os::read_file(path, &mut text) else { continue };
            for_each_in_list(&text[..length], |cpu| {
                if cpu < cpus {
                    topology.node_of[cpu] = node as u8;
                    topology.nodes = topology.nodes.max(node + 1);
                }
            });
        }
        topology
    }

    /// A made-up topology: the node of each processor, and a function that says which of them runs the calling thread.
    /// For tests, and for processes that keep to a part of the machine.
    ///
    /// # Panics
    /// If there is no processor, more than 256, or a node above 7.
    #[must_use]
    pub fn custom(node_of_cpu: &[u8], current: fn() -> usize) -> Topology {
        assert!((1..=MAX_CPUS).contains(&node_of_cpu.len()), "{} processors", node_of_cpu.len());
        let nodes = node_of_cpu.iter().copied().max().map_or(1, |node| usize::from(node) + 1);
        assert!(nodes <= MAX_NODES, "node {} is above 7", nodes - 1);
        let mut node_of = [0; MAX_CPUS];
        node_of[..node_of_cpu.len()].copy_from_slice(node_of_cpu);
        Topology { cpus: node_of_cpu.len(), nodes, node_of, current }
    }

    /// How many processors there are.
    #[must_use]
    pub fn cpus(&self) -> usize {
        self.cpus
    }

    /// How many memory nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// The processor that runs the calling thread, and its node.
    pub(super) fn here(&self) -> (usize, usize) {
        let cpu = (self.current)() % self.cpus;
        (cpu, usize::from(self.node_of[cpu]))
    }
}

/// Calls `each` with the numbers of a list such as `0-3,8`. What cannot be read ends it.
fn for_each_in_list(text: &[u8], mut each: impl FnMut(usize)) {
    let text = std::str::from_utf8(text).unwrap_or("").trim();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) else { return };
        for cpu in first..=last.min(MAX_CPUS) {
            each(cpu);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors() {
        let rows: &[(&str, &[usize])] =
            &[("0-1\n", &[0, 1]), ("3", &[3]), ("0-1,4-5", &[0, 1, 4, 5]), ("", &[]), ("x", &[]), ("5-4", &[])];
        for (text, expected) in rows {
            let mut found = Vec::new();
            for_each_in_list(text.as_bytes(), |cpu| found.push(cpu));
            assert_eq!(found, *expected, "{text}");
        }
    }

    #[test]
    fn the_host_has_a_processor_and_a_node() {
        let host = Topology::of_host();
        assert!(host.cpus() >= 1 && host.nodes() >= 1);
        let (cpu, node) = host.here();
        assert!(cpu < host.cpus() && node < host.nodes());
    }
}
