"""Reading ahead and writing behind: same order, errors where they belong, and work side by side."""

import threading
import time

import pytest

from imperviouslib.edge.overlap import Behind, do_each, read_ahead


def test_items_come_in_their_order():
    assert list(read_ahead(range(5))) == [0, 1, 2, 3, 4]
    assert list(read_ahead([])) == []


def test_the_next_item_is_made_while_this_one_is_used():
    made = [threading.Event() for _ in range(3)]

    def items():
        for number, event in enumerate(made):
            event.set()
            yield number

    for number in read_ahead(items()):
        if number < 2:
            assert made[number + 1].wait(10), "the next item was not begun"


def test_an_error_of_the_source_comes_after_the_items_before_it():
    def items():
        yield 1
        raise OSError("gone")

    seen = []
    with pytest.raises(OSError, match="gone"):
        seen.extend(read_ahead(items()))
    assert seen == [] or seen == [1]
    source = read_ahead(items())
    assert next(source) == 1
    with pytest.raises(OSError, match="gone"):
        next(source)


def test_a_reader_that_is_left_early_ends_its_thread():
    before = threading.active_count()
    for _number in read_ahead(range(100)):
        break
    assert threading.active_count() == before


def test_what_is_asked_is_done_in_order_and_finished_at_the_end():
    done = []
    with Behind() as writer:
        for number in range(20):
            writer.do(done.append, number)
    assert done == list(range(20))


def test_the_caller_goes_on_meanwhile():
    go = threading.Event()
    with Behind() as writer:
        writer.do(lambda: go.wait(10) or pytest.fail("the caller waited"))
        go.set()


@pytest.mark.parametrize("more", [0, 1])
def test_an_error_is_raised_by_the_next_call_or_at_the_end(more):
    def fail():
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), Behind() as writer:
        writer.do(fail)
        for _again in range(more):
            writer.do(print)


def test_an_error_of_the_caller_is_not_hidden():
    with pytest.raises(ValueError, match="mine"), Behind() as writer:
        writer.do(lambda: 1 / 0)
        raise ValueError("mine")


def test_several_items_are_done_at_a_time():
    together = threading.Barrier(3, timeout=10)
    do_each(lambda _item: together.wait(), range(6), threads=3)


def test_after_an_error_no_other_item_is_begun():
    begun = []

    def work(item):
        begun.append(item)
        if item == 0:
            raise OSError("disk full")
        time.sleep(0.01)

    with pytest.raises(OSError, match="disk full"):
        do_each(work, range(1000), threads=1)
    # The thread begins a few more until the error is seen.
    assert len(begun) < 500
