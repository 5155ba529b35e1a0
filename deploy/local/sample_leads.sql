-- SPDX-License-Identifier: Apache-2.0
-- 240 people to call, spread over area codes and time zones, and six that must not be called, each for a
-- reason of its own. Numbers +1 NXX 555 01XX are for fiction: nobody has them. Loading twice changes nothing.
with
  areas (code, zone) as (
    values
      ('212', 'America/New_York'), ('617', 'America/New_York'), ('404', 'America/New_York'),
      ('305', 'America/New_York'), ('216', 'America/New_York'), ('704', 'America/New_York'),
      ('215', 'America/New_York'), ('412', 'America/New_York'), ('410', 'America/New_York'),
      ('207', 'America/New_York'), ('313', 'America/Detroit'), ('317', 'America/Indiana/Indianapolis'),
      ('502', 'America/Kentucky/Louisville'), ('312', 'America/Chicago'), ('214', 'America/Chicago'),
      ('713', 'America/Chicago'), ('512', 'America/Chicago'), ('504', 'America/Chicago'),
      ('612', 'America/Chicago'), ('314', 'America/Chicago'), ('816', 'America/Chicago'),
      ('414', 'America/Chicago'), ('615', 'America/Chicago'), ('205', 'America/Chicago'),
      ('303', 'America/Denver'), ('801', 'America/Denver'), ('505', 'America/Denver'),
      ('406', 'America/Denver'), ('307', 'America/Denver'), ('208', 'America/Boise'),
      ('602', 'America/Phoenix'), ('520', 'America/Phoenix'), ('213', 'America/Los_Angeles'),
      ('415', 'America/Los_Angeles'), ('619', 'America/Los_Angeles'), ('206', 'America/Los_Angeles'),
      ('503', 'America/Los_Angeles'), ('702', 'America/Los_Angeles'), ('907', 'America/Anchorage'),
      ('808', 'Pacific/Honolulu')
  ),
  people as (
    select
      row_number() over (order by line.number, areas.code) as number,
      format('+1%s55501%s', areas.code, lpad((line.number * 16)::text, 2, '0')) as phone,
      areas.zone
    from areas
    cross join generate_series(0, 5) line (number)
  ),
  first_names (list) as (
    values (array['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara', 'Dennis', 'Frances', 'Ken', 'Radia', 'Niklaus',
                  'Hedy', 'John', 'Katherine', 'Donald', 'Margaret', 'Tony'])
  ),
  last_names (list) as (
    values (array['Adler', 'Brook', 'Castle', 'Dale', 'Ember', 'Field', 'Grove', 'Hill', 'Isle', 'Jasper', 'Knoll',
                  'Lake', 'Marsh', 'North', 'Orchard'])
  ),
  callable (external_id, phone, first_name, last_name, stage, time_zone) as (
    select
      'sample-' || lpad(people.number::text, 3, '0'), people.phone,
      first_names.list[1 + people.number % 16], last_names.list[1 + people.number % 15], 'new', people.zone
    from people, first_names, last_names
  ),
  not_callable (external_id, phone, first_name, last_name, stage, time_zone) as (
    values
      ('sample-no-phone', null, 'Nora', 'Nophone', 'new', 'America/New_York'),
      ('sample-bad-phone', 'call me', 'Bart', 'Badphone', 'new', 'America/New_York'),
      ('sample-short-phone', '+1212555', 'Shirley', 'Short', 'new', 'America/New_York'),
      ('sample-closed', '+12125550190', 'Chloe', 'Closed', 'closed', 'America/New_York'),
      ('sample-lost', '+12125550191', 'Luis', 'Lost', 'lost', 'America/New_York'),
      ('sample-bad-zone', '+12125550192', 'Zed', 'Zoneless', 'new', 'Mars/Olympus_Mons')
  )
insert into carillon.leads (external_id, phone, first_name, last_name, stage, time_zone)
select external_id, phone, first_name, last_name, stage, time_zone from callable
union all
select external_id, phone, first_name, last_name, stage, time_zone from not_callable
on conflict (tenant_id, external_id) do nothing;
