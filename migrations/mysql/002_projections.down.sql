-- Checkpoints go with the tables of their projections, which 'reset' drops.
BEGIN NOT ATOMIC
    IF EXISTS (SELECT 1 FROM information_schema.tables t WHERE t.table_schema = DATABASE()
            AND t.table_name = '{schema}__projections') THEN
        IF EXISTS (SELECT 1 FROM {schema}__projections) THEN
            SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
                'projections are installed, whose rows nobody could continue: use Store.Reset(NAME) for each of them first';
        END IF;
    END IF;
END;
DROP PROCEDURE IF EXISTS {schema}__advance_apart;
DROP PROCEDURE IF EXISTS {schema}__advance;
DROP PROCEDURE IF EXISTS {schema}__retry_parked;
DROP PROCEDURE IF EXISTS {schema}__park_room;
DROP TABLE IF EXISTS {schema}__skipped_events;
DROP TABLE IF EXISTS {schema}__parked_events;
DROP TABLE IF EXISTS {schema}__parked;
DROP TABLE IF EXISTS {schema}__segments;
DROP TABLE IF EXISTS {schema}__workers;
DROP TABLE IF EXISTS {schema}__unfinished;
DROP TABLE IF EXISTS {schema}__projections;
