//! Orders of the blocks of a region.

use super::RegionBlock;

/// The blocks that control reaches from the first one and those in `others`, in reverse post-order: the first one first, each
/// before all that it leads to, except where control goes back, and the first edge of a block directly after it where that is
/// possible.
pub(super) fn reverse_post_order(blocks: &[RegionBlock], others: &[usize]) -> Vec<usize> {
    let mut order = Vec::with_capacity(blocks.len());
    let mut visited = vec![false; blocks.len()];
    // Not before its turn, which is the last, though others may lead to it.
    visited[0] = true;
    let mut stack = Vec::new();
    for &root in others.iter().rev().chain(&[0]) {
        if root == 0 || !std::mem::replace(&mut visited[root], true) {
            stack.push((root, 0));
        }
        while let Some((index, edge)) = stack.pop() {
            // Later edges first, so that the first edge comes directly after its block.
            let edges = &blocks[index].edges;
            if edge < edges.len() {
                stack.push((index, edge + 1));
                let to = edges[edges.len() - 1 - edge].1;
                if !std::mem::replace(&mut visited[to], true) {
                    stack.push((to, 0));
                }
            } else {
                order.push(index);
            }
        }
    }
    order.reverse();
    order
}

/// Of each of `count` blocks its place in `order`; of those that are not in it [`usize::MAX`].
pub(super) fn places(order: &[usize], count: usize) -> Vec<usize> {
    let mut places = vec![usize::MAX; count];
    for (at, index) in order.iter().enumerate() {
        places[*index] = at;
    }
    places
}

/// `blocks` in the order in which to lay them out where each may be entered from outside: the first one first, and each before
/// what it leads to.
pub(super) fn laid_out(blocks: Vec<RegionBlock>) -> Vec<RegionBlock> {
    let entered: Vec<_> = (1..blocks.len()).filter(|index| blocks[*index].entered).collect();
    let order = reverse_post_order(&blocks, &entered);
    let place = places(&order, blocks.len());
    let mut blocks: Vec<_> = blocks.into_iter().map(Some).collect();
    let mut blocks: Vec<_> = order.iter().filter_map(|index| blocks[*index].take()).collect();
    for (_, to) in blocks.iter_mut().flat_map(|here| &mut here.edges) {
        *to = place[*to];
    }
    blocks
}
