"""Partitions, orders and quotas: what a builder may rely on whatever the source holds."""

from __future__ import annotations

from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from expertad import select, taxonomy
from expertad.sample import Sample

SIZES = {"pa_sft": 29, "sc_grpo": 30}


def make(category: str, parts: dict[str, int], views: int = 5) -> list[Sample]:
    """Samples of one category: `parts` says how many parts have each code ("OK" for normal ones)."""
    samples = []
    for code, count in parts.items():
        status = "OK" if code == "OK" else f"NG_{code}"
        for number in range(count):
            part = f"{category}/{status}/S{number:04d}"
            for view in range(1, views + 1):
                hidden = code != "OK" and view == 5
                stratum = "normal" if code == "OK" else "ng_view_ok" if hidden else "anomalous"
                anomalous = stratum == "anomalous"
                samples.append(
                    Sample(
                        sample_id=f"{part}/C{view}",
                        category=category,
                        part_id=part,
                        view=f"C{view}",
                        stratum=stratum,
                        code=code if anomalous else "OK",
                        coarse_type=taxonomy.CODE_TO_COARSE[code] if anomalous else None,
                        image_path=f"{category}/{part}/C{view}.jpg",
                        mask_path=f"{category}/{part}/C{view}.png" if anomalous else None,
                    )
                )
    return samples


def planned(samples: list[Sample], seed: int = 0, held_out: float = 0.1) -> select.Plan:
    return select.plan(samples, seed=seed, **SIZES, held_out=held_out)


def chosen(plan: select.Plan, failed: set[str] = frozenset(), **changes: object) -> select.Selection:
    options = {"sizes": SIZES, "limit": None, "seed": 0} | changes
    return select.choose(plan, lambda s: "failed" if s.sample_id in failed else "viable", **options)


sources = st.dictionaries(
    st.sampled_from(["bolt", "nut", "plug", "tape"]),
    st.dictionaries(st.sampled_from(["OK", *taxonomy.CODE_TO_COARSE]), st.integers(0, 12), min_size=1),
    min_size=1,
)


@settings(max_examples=60, deadline=None)
@given(sources, st.integers(0, 5), st.floats(0, 1))
def test_a_part_is_in_one_partition_and_every_sample_is_accounted_for(source, seed, held_out):
    samples = [sample for category, parts in source.items() for sample in make(category, parts)]
    plan = planned(samples, seed, held_out)
    selection = chosen(plan)
    places = defaultdict(set)
    for place, rows in selection.selected.items():
        for sample in rows:
            places[sample.part_id].add(place)
            assert sample.stratum != "ng_view_ok"
            assert sample.sample_id not in plan.left_out
    for sample in plan.held_out:
        places[sample.part_id].add("held_out")
    for rows in plan.references.values():
        for sample in rows:
            places[sample.part_id].add("pool")
            assert sample.stratum == "normal"
    assert all(len(found) == 1 for found in places.values())
    candidates = {s.sample_id for of in plan.candidates.values() for rows in of.values() for s in rows}
    assert candidates | set(plan.left_out) == {sample.sample_id for sample in samples}
    assert not candidates & set(plan.left_out)


@settings(max_examples=60, deadline=None)
@given(sources, st.integers(0, 5))
def test_normal_and_anomalous_rows_balance(source, seed):
    samples = [sample for category, parts in source.items() for sample in make(category, parts)]
    for place, rows in chosen(planned(samples, seed)).selected.items():
        kinds = Counter(sample.anomalous for sample in rows)
        assert 0 <= kinds[True] - kinds[False] <= SIZES[place] % 2


def test_adding_a_category_moves_no_part_and_no_reference_of_another():
    bolts = make("bolt", {"OK": 30, "HS": 10, "ZW": 7})
    alone, together = planned(bolts), planned(bolts + make("nut", {"OK": 20, "AK": 9}))
    assert all(together.partition[part] == place for part, place in alone.partition.items())
    for sample in bolts[:40]:
        assert select.reference_order(sample, alone, 0) == select.reference_order(sample, together, 0)
    for place in select.TRAINED:
        for stratum, rows in alone.candidates[place].items():
            assert together.candidates[place][stratum] == rows


def test_order_of_the_source_changes_nothing():
    samples = make("bolt", {"OK": 30, "HS": 10}) + make("nut", {"OK": 20, "AK": 9})
    assert chosen(planned(samples)) == chosen(planned(samples[::-1]))


def test_another_seed_chooses_others():
    samples = make("bolt", {"OK": 60, "HS": 60})
    ids = [{s.sample_id for s in chosen(planned(samples, seed)).selected["pa_sft"]} for seed in (0, 1)]
    assert ids[0] != ids[1]


def test_a_reject_is_followed_by_the_next_candidate_and_nothing_else_moves():
    plan = planned(make("bolt", {"OK": 80, "HS": 40, "ZW": 40}))
    before = chosen(plan)
    lost = before.selected["pa_sft"][3].sample_id
    after = chosen(plan, {lost})
    old = {s.sample_id for s in before.selected["pa_sft"]}
    new = {s.sample_id for s in after.selected["pa_sft"]}
    assert old < new
    assert len(new - old) == 1
    assert after.selected["sc_grpo"] == before.selected["sc_grpo"]
    assert after.target == before.target == SIZES


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(0, 400), max_size=120), st.integers(0, 3))
def test_where_a_build_arrives_does_not_depend_on_its_way(bad, seed):
    samples = make("bolt", {"OK": 20, "HS": 6, "ZW": 9}) + make("nut", {"OK": 8, "AK": 14})
    failing = {samples[index].sample_id for index in bad if index < len(samples)}
    plan = planned(samples, seed)

    def arrive(first_known: set[str]) -> dict[str, list[str]]:
        known = set(first_known)
        while True:
            selection = chosen(plan, known, seed=seed)
            met = {s.sample_id for rows in selection.selected.values() for s in rows} & failing
            if met <= known:
                return {
                    place: [s.sample_id for s in rows if s.sample_id not in known]
                    for place, rows in selection.selected.items()
                }
            known |= met

    tried_first = {s.sample_id for rows in chosen(plan, seed=seed).selected.values() for s in rows} & failing
    half = {name for index, name in enumerate(sorted(tried_first)) if index % 2}
    assert arrive(set()) == arrive(half) == arrive(tried_first)


def test_too_small_a_source_is_divided_in_the_ratio_and_said():
    selection = chosen(planned(make("bolt", {"OK": 20, "HS": 10}, views=1), held_out=0.0))
    assert 3 <= selection.target["pa_sft"] // 2 <= 7
    assert abs(selection.target["pa_sft"] - selection.target["sc_grpo"]) <= 2
    assert any("29 rows were asked for" in note for note in selection.notes)


def test_limit_caps_all_rows_together():
    plan = planned(make("bolt", {"OK": 80, "HS": 80}))
    assert sum(len(rows) for rows in chosen(plan, limit=10).selected.values()) == 10


def test_the_pool_has_each_view_that_two_parts_show():
    samples = make("bolt", {"OK": 2}, views=5)
    assert {view for _, view in planned(samples).references} == {"C1", "C2", "C3", "C4", "C5"}


def test_a_category_with_one_normal_part_has_no_reference_and_says_so():
    plan = planned(make("bolt", {"OK": 1, "HS": 5}), held_out=0.0)
    assert not plan.references
    assert "no normal reference of this category and view" in plan.left_out.values()


def test_held_out_share_of_parts():
    plan = planned(make("bolt", {"OK": 500, "HS": 300}, views=1))
    outside = [place for place in plan.partition.values() if place != "pool"]
    assert abs(outside.count("held_out") / len(outside) - 0.1) < 0.01


def test_a_held_out_share_that_leaves_nothing_is_named_as_the_reason():
    samples = make("bolt", {"OK": 20, "HS": 20}, views=1)
    notes = {
        share: select.choose(
            planned(samples, held_out=share), lambda _: "viable", sizes={"pa_sft": 50, "sc_grpo": 0}, limit=None, seed=0
        ).notes
        for share in (0.0, 1.0)
    }
    assert notes[1.0] == ("pa_sft: 50 rows were asked for, and the held-out share leaves no part to take them from",)
    assert "the source has enough for" in notes[0.0][0]


@given(st.integers(0, 200), st.dictionaries(st.text(max_size=3), st.integers(0, 40), max_size=8))
def test_fill_gives_all_it_can_and_never_more_than_one_apart(total, capacity):
    share = select.fill(total, capacity, seed=1)
    assert sum(share.values()) == min(total, sum(capacity.values()))
    assert all(share[key] <= capacity[key] for key in capacity)
    open_shares = [share[key] for key in capacity if share[key] < capacity[key]]
    if open_shares:
        assert max(open_shares) - min(open_shares) <= 1
        assert max(share.values()) - min(open_shares) <= 1


def test_one_shot_share():
    samples = make("bolt", {"OK": 400})
    share = sum(select.shot(sample, 0, 0.3) for sample in samples) / len(samples)
    assert abs(share - 0.3) < 0.04
