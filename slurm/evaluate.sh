# The evaluations that are due of one training of a study, one after the other: the `work` of a job that `study.py <study> launch` submits as
# an array, in train.sbatch. An index stands for a training, whose task of the training's array it waits for.
#
# As in training USR1 says that time is up: what is drawn and embedded is kept, and the job starts again. A failed evaluation is left to
# `study.py <study> retry`.

# One cell: its key, its log, the arguments of evaluate.py. Leaves _study/tasks/<key>.json, as on one machine. srun is not in the container,
# hence a loop of the shell.
evaluate() {
    local key="$1" log="$2" began status
    shift 2
    began=$(date -u +%Y-%m-%dT%H:%M:%S+00:00)
    echo "--- start of $key at $began, job $job" >> "$log"
    srun "${srun_options[@]}" "${container[@]}" "$python" -m difflab evaluate "$@" >> "$log" 2>&1
    status=$?
    printf '{"where": "job %s", "pid": 0, "started": "%s", "ended": "%s", "exit_code": %d, "error": "", "cancelled": false}' \
        "$job" "$began" "$(date -u +%Y-%m-%dT%H:%M:%S+00:00)" "$status" > "$study/_study/tasks/$key.json.new" &&
        mv "$study/_study/tasks/$key.json.new" "$study/_study/tasks/$key.json"
    [[ $status == 75 ]] && again=1
    [[ $status == 0 ]] || failed=1
}

work() {
    local again=0 failed=0 due
    due=$("${container[@]}" "$python" -m difflab.studies.execution.tasks "$study" "$key") || exit
    eval "$due"
    # A start that was interrupted has drawn something; one that is interrupted again and again has too little time.
    if [[ $again == 1 && $attempt -lt 20 ]]; then
        trap '' TERM
        scontrol requeue "$job" && sleep 60
    fi
    exit $failed
}
