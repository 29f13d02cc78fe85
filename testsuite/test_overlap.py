"""Reading ahead and writing behind: same order, errors where they belong, and work side by side."""

import threading
import time

import pytest

from imperviouslib.edge.overlap import Behind, do_each, do_in_order, read_ahead


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


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_the_order_of_the_items(threads):
    def work(number):
        time.sleep(0.02 * (number % 3 == 0))
        return -number

    assert list(do_in_order(work, range(7), threads)) == [0, -1, -2, -3, -4, -5, -6]
    assert list(do_in_order(work, [], threads)) == []


def test_several_items_are_worked_on_at_a_time_and_few_are_taken():
    together, taken = threading.Barrier(2), []

    def items():
        for number in range(6):
            taken.append(number)
            yield number

    def work(number):
        together.wait(10)
        return number

    for number in do_in_order(work, items(), 2):
        assert len(taken) <= number + 4
    assert taken == [0, 1, 2, 3, 4, 5]


def test_an_error_of_the_work_comes_where_its_result_would():
    results = do_in_order(lambda number: 6 // number, [1, 2, 0, 3], 2)
    assert [next(results), next(results)] == [6, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_work_that_is_left_early_begins_nothing_more():
    before, begun = threading.active_count(), []
    results = do_in_order(begun.append, range(100), 1)
    next(results)
    results.close()
    assert len(begun) <= 3 and threading.active_count() == before


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
